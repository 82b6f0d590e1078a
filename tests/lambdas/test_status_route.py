from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from builders import an_artifact
from sdfleet.domain import transitions
from sdfleet.domain.task import Task
from sdfleet.errors import RecordConflict
from service_harness import Fuse, Fused, Harness

PATH = "/v1alpha2/tasks/test-t2i"


@pytest.fixture
def harness() -> Harness:
    harness = Harness()
    harness.submit(context={"abc": 123})
    return harness


def claim(harness: Harness) -> Task:
    now = harness.clock.now()
    return harness.change(
        lambda task: transitions.claim(
            task, run=task.run, token="t", instance_id="i-1", lease_until=now + timedelta(seconds=30), now=now
        )
    )


def succeed(harness: Harness) -> None:
    claim(harness)
    harness.change(
        lambda task: transitions.succeed(
            task,
            run=task.run,
            token="t",
            artifacts=(an_artifact(),),
            output_url="s3://b/o.out",
            now=harness.clock.now(),
        )
    )


def test_a_queued_task_shows_everything_the_contract_names(harness: Harness) -> None:
    harness.clock.advance(timedelta(seconds=5))
    answer = harness.call("GET", PATH)
    assert answer.status == 200
    assert answer.body == {
        "id": "test-t2i",
        "runtime": "sdruntime",
        "tasktype": "text-to-image",
        "status": "queued",
        "attempt": 1,
        "progress": 0.0,
        "created_at": "2026-11-02T12:00:00.000Z",
        "started_at": None,
        "finished_at": None,
        "queue_s": 5.0,
        "run_s": None,
        "output_location": "s3://sdfleet-test-output/output/test-t2i",
        "image_url": [],
        "image_link": [],
        "output_url": None,
        "context": {"abc": 123},
        "error": None,
    }


def test_a_finished_task_has_fresh_links(harness: Harness) -> None:
    succeed(harness)
    answer = harness.call("GET", f"{PATH}/")
    assert answer.body["image_url"] == [an_artifact().url]
    assert answer.body["image_link"] == [harness.artifacts.link(an_artifact().url, lifetime=timedelta(hours=1))]


def test_links_are_not_kept_by_anybody_on_the_way(harness: Harness) -> None:
    assert harness.call("GET", PATH).headers["Cache-Control"] == "no-store"


def test_head_is_get_without_a_body(harness: Harness) -> None:
    answer = harness.call("HEAD", PATH)
    assert (answer.status, answer.body) == (200, None)


def test_options_names_the_methods(harness: Harness) -> None:
    answer = harness.call("OPTIONS", PATH)
    assert (answer.status, answer.body) == (204, None)
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"


def test_cancelling_a_queued_task_ends_it_at_once_with_one_notice(harness: Harness) -> None:
    answer = harness.call("DELETE", PATH)

    assert (answer.status, answer.body["status"]) == (202, "cancelled")
    (notice,) = harness.notices()
    assert (notice["result"], notice["status"], notice["context"]) == (False, "cancelled", {"abc": 123})
    assert harness.results.published[0].attributes == {"id": "test-t2i", "runtime": "sdruntime", "result": "false"}
    assert harness.task().notified_at == harness.clock.now()


def test_cancelling_a_running_task_asks_its_instance(harness: Harness) -> None:
    claim(harness)

    answer = harness.call("DELETE", PATH)

    assert (answer.status, answer.body["status"]) == (202, "running")
    assert harness.task().cancel_requested
    assert harness.notices() == []


def test_cancelling_a_running_task_again_is_the_same_answer(harness: Harness) -> None:
    claim(harness)
    harness.call("DELETE", PATH)
    assert harness.call("DELETE", PATH).status == 202


def test_cancelling_a_task_whose_instance_died_ends_it_at_once(harness: Harness) -> None:
    claim(harness)
    harness.clock.advance(timedelta(minutes=1))
    assert harness.call("DELETE", PATH).body["status"] == "cancelled"


def test_cancelling_an_ended_task_is_a_409(harness: Harness) -> None:
    succeed(harness)
    answer = harness.call("DELETE", PATH)
    assert answer.status == 409
    assert "succeeded" in answer.body["detail"]


def test_a_cancel_that_loses_the_race_against_a_claim_asks_the_instance(harness: Harness) -> None:
    harness.rewire(tasks=SomebodyElseFirst(harness, lambda: claim(harness)))

    assert harness.call("DELETE", PATH).status == 202
    assert harness.task().cancel_requested
    assert not harness.task().is_terminal


def test_a_cancel_that_loses_the_race_against_the_end_is_a_409(harness: Harness) -> None:
    harness.rewire(tasks=SomebodyElseFirst(harness, lambda: succeed(harness)))
    assert harness.call("DELETE", PATH).status == 409


def test_a_cancel_never_meets_a_later_run(harness: Harness) -> None:
    def next_run() -> None:
        harness.change(lambda task: transitions.cancelled(task, run=task.run, now=harness.clock.now()))
        harness.submit()

    harness.rewire(tasks=SomebodyElseFirst(harness, next_run))

    assert harness.call("DELETE", PATH).status == 404
    assert not harness.task().cancel_requested


def test_a_record_that_never_stops_changing_is_a_503(harness: Harness) -> None:
    claim(harness)
    harness.rewire(tasks=Fused(harness.tasks, AlwaysConflicting(), "save"))
    assert harness.call("DELETE", PATH).status == 503


def test_a_cancel_whose_notice_does_not_go_out_is_left_to_the_sweeper(harness: Harness) -> None:
    harness.rewire(results=Fused(harness.results, Fuse(at=0), "publish"))

    assert harness.call("DELETE", PATH).status == 202
    assert harness.task().is_terminal
    assert transitions.due_at(harness.task()) is not None


class AlwaysConflicting(Fuse):
    def step(self, name: str) -> None:
        raise RecordConflict


class SomebodyElseFirst:
    """The task store, in which `event` happens between the first reading and the first writing."""

    def __init__(self, harness: Harness, event: Callable[[], object]) -> None:
        self._tasks = harness.tasks
        self._events = [event]

    def __getattr__(self, name: str) -> Any:
        if name == "save" and self._events:
            self._events.pop()()
        return getattr(self._tasks, name)
