from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from builders import NOON, a_failed_task, a_queued_task, a_running_task, a_task
from sdfleet.domain import transitions
from sdfleet.domain.task import Task
from sdfleet.errors import ServiceUnavailable
from sdfleet_lambdas import sweeper
from service_harness import EVENTS, Fuse, Fused, Harness

CONTENT = {"prompt": "A dog"}
DLQ = "sdruntime-dead-letters"


@pytest.fixture
def harness() -> Harness:
    return Harness()


def given(harness: Harness, task: Task) -> Task:
    harness.artifacts.put(task.content_location, json.dumps(CONTENT).encode(), content_type="application/json")
    return harness.tasks.create(task, replacing=None, now=NOON)


def sweep(harness: Harness, after: timedelta = timedelta(minutes=2)) -> dict[str, int]:
    harness.clock.advance(after)
    return sweeper.handle(json.loads((EVENTS / "schedule.json").read_text()), harness.services)


def test_an_undispatched_task_is_published_from_its_inbox_object(harness: Harness) -> None:
    given(harness, a_task())
    assert sweep(harness) == {"published": 1}

    (sent,) = harness.requests.published
    assert json.loads(sent.body)["content"] == CONTENT
    assert harness.task().dispatched_at
    assert sweep(harness) == {}


def test_a_request_that_is_still_at_work_is_left_alone(harness: Harness) -> None:
    given(harness, a_task())
    assert sweep(harness, timedelta(seconds=30)) == {}


def test_a_task_whose_content_is_gone_fails_with_a_notice(harness: Harness) -> None:
    harness.tasks.create(a_task(), replacing=None, now=NOON)
    assert sweep(harness) == {"ended": 1}
    assert harness.notices()[0]["error"]["code"] == "content_lost"
    assert harness.task().notified_at


@pytest.mark.parametrize("task", [a_task(), a_queued_task(), a_running_task()])
def test_an_expired_task_fails_with_a_notice(harness: Harness, task: Task) -> None:
    given(harness, task)
    assert sweep(harness, timedelta(days=7, minutes=1)) == {"ended": 1}
    assert harness.notices()[0]["error"]["code"] == "expired"
    assert harness.requests.published == []


def test_an_expired_task_that_asked_to_be_cancelled_is_cancelled(harness: Harness) -> None:
    given(harness, a_running_task(cancel_requested=True))
    sweep(harness, timedelta(days=8))
    assert harness.notices()[0]["status"] == "cancelled"


def test_a_task_that_an_instance_holds_is_left_to_it(harness: Harness) -> None:
    task = given(harness, a_running_task(expires_at=NOON + timedelta(seconds=1)))
    assert sweep(harness, timedelta(seconds=10)) == {"left": 1}
    assert harness.task() == task


def test_an_end_that_nobody_was_told_is_announced_once(harness: Harness) -> None:
    given(harness, a_failed_task())
    assert sweep(harness) == {"announced": 1}
    assert sweep(harness) == {}
    assert len(harness.notices()) == 1


def test_one_bad_record_does_not_stop_the_rest(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    bad = given(harness, a_task(id="bad", content_location="s3://sdfleet-test-inbox/bad.json"))
    harness.artifacts.put(bad.content_location, b"no json", content_type="application/json")
    given(harness, a_task(id="good"))

    assert sweep(harness) == {"failed": 1, "published": 1}
    assert "sweep.failed" in [record.message for record in caplog.records]


def test_an_outage_is_tried_again_by_the_next_sweep(harness: Harness) -> None:
    given(harness, a_task())
    harness.rewire(requests=Fused(harness.requests, Fuse(at=0), "publish"))
    assert sweep(harness) == {"failed": 1}
    assert sweep(harness) == {"published": 1}


def test_a_sweep_is_bounded_in_records(harness: Harness) -> None:
    for number in range(sweeper.MAX_RECORDS + 5):
        given(harness, a_failed_task(id=f"t-{number}"))
    assert sweep(harness) == {"announced": sweeper.MAX_RECORDS}
    assert sweep(harness) == {"announced": 5}


def test_a_sweep_is_bounded_in_time(harness: Harness) -> None:
    class Slow(Fuse):
        def step(self, name: str) -> None:
            harness.clock.advance(timedelta(seconds=10))

    for number in range(5):
        given(harness, a_task(id=f"t-{number}"))
    harness.rewire(requests=Fused(harness.requests, Slow(), "publish"))

    assert [sweep(harness)["published"] for _ in range(3)] == [2, 2, 1]


def test_letters_are_settled_however_long_the_records_take(harness: Harness) -> None:
    class Slow(Fuse):
        def step(self, name: str) -> None:
            harness.clock.advance(timedelta(seconds=10))

    for number in range(5):
        given(harness, a_task(id=f"t-{number}"))
    harness.rewire(requests=Fused(harness.requests, Slow(), "publish"))
    harness.dead_letter_queues[DLQ].send("no message of ours")

    assert sweep(harness) == {"published": 2}
    assert len(harness.kept()) == 1


def test_records_are_swept_however_many_letters_there_are(harness: Harness) -> None:
    class Slow(Fuse):
        def step(self, name: str) -> None:
            harness.clock.advance(timedelta(seconds=10))

    for number in range(20):
        harness.dead_letter_queues[DLQ].send(f"no message of ours {number}")
    harness.rewire(artifacts=Fused(harness.artifacts, Slow(), "put"))
    given(harness, a_failed_task())

    assert sweep(harness) == {"announced": 1}
    assert 0 < len(harness.kept()) < 20


def test_letters_are_settled_while_the_records_cannot_be_listed(harness: Harness) -> None:
    harness.dead_letter_queues[DLQ].send("no message of ours")
    harness.rewire(tasks=Fused(harness.tasks, Fuse(at=0), "due"))
    with pytest.raises(ServiceUnavailable):
        sweep(harness)
    assert len(harness.kept()) == 1


def test_a_listing_that_lags_behind_does_no_harm(harness: Harness) -> None:
    task = given(harness, a_task())
    harness.change(lambda current: transitions.dispatched(current, now=NOON))
    harness.rewire(tasks=Lagging(harness, [task.id, "gone"]))
    assert sweep(harness) == {"left": 2}


class Lagging:
    """The task store, whose list of due records is always the same."""

    def __init__(self, harness: Harness, listed: list[str]) -> None:
        self._tasks = harness.tasks
        self._listed = listed

    def due(self, **_: Any) -> list[str]:
        return self._listed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tasks, name)


def test_outcomes_are_counted(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    given(harness, a_task())
    sweep(harness)
    metric = json.loads(capsys.readouterr().out)
    assert (metric["SweptTasks"], metric["Outcome"]) == (1, "published")
