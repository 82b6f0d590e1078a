"""A submission cut off at every step: whoever comes next completes it, and there is one run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sdfleet.domain import transitions
from sdfleet.errors import RecordConflict
from sdfleet_lambdas import sweeper
from service_harness import Answer, Fuse, Harness, a_request, fuse_submission

#: put, create, publish, save: a step before and a step after each.
STEPS = range(8)
AFTER_CREATE = 3


class Killed(BaseException):
    """The process ended."""


def submit_cut_off(harness: Harness, at: int, content: dict[str, Any] | None = None, **headers: str) -> None:
    services = harness.services
    fuse_submission(harness, Fuse(at=at, error=Killed()))
    with pytest.raises(Killed):
        harness.post(a_request(content), **headers)
    harness.services = services


def test_the_steps_are_the_ones_the_architecture_names() -> None:
    harness, fuse = Harness(), Fuse()
    fuse_submission(harness, fuse)
    harness.post(a_request())
    assert [step for step in fuse.steps if step.startswith("after")] == [
        "after put", "after create", "after publish", "after save",
    ]  # fmt: skip


@pytest.mark.parametrize("at", STEPS)
def test_a_repeated_request_completes_it_as_one_run(at: int) -> None:
    harness = Harness()
    submit_cut_off(harness, at)

    answer = harness.post(a_request())

    assert answer.status == 200
    assert harness.published_runs() == {harness.task().run}
    assert harness.task().dispatched_at


@pytest.mark.parametrize("at", STEPS)
def test_a_repeated_request_with_its_key_completes_it_as_one_run(at: int) -> None:
    harness = Harness()
    submit_cut_off(harness, at, idempotency_key="k")
    assert harness.post(a_request(), idempotency_key="k").status == 200
    assert harness.published_runs() == {harness.task().run}


@pytest.mark.parametrize("content", [{"prompt": "A dog"}, {"prompt": "x" * 300_000}], ids=["item", "object"])
@pytest.mark.parametrize("at", STEPS)
def test_the_sweeper_completes_it_as_one_run(at: int, content: dict[str, Any]) -> None:
    harness = Harness()
    submit_cut_off(harness, at, content)
    harness.clock.advance(timedelta(minutes=2))

    sweeper.handle({}, harness.services)

    if at < AFTER_CREATE:
        assert harness.tasks.tasks() == []
        assert harness.requests.published == []
    else:
        assert harness.published_runs() == {harness.task().run}
        assert harness.task().dispatched_at


@pytest.mark.parametrize("at", STEPS)
def test_an_outage_is_a_503_until_the_message_is_out_and_never_loses_a_task(at: int) -> None:
    harness = Harness()
    services = harness.services
    fuse_submission(harness, Fuse(at=at))

    status = harness.post(a_request()).status
    harness.services = services

    # The message is out once `publish` has returned: what fails then is the mark, and the sweeper's business.
    assert status == (503 if at <= 5 else 200)
    harness.post(a_request())
    assert harness.published_runs() == {harness.task().run}


def test_two_requests_for_one_id_at_once_are_one_run() -> None:
    harness = Harness()
    answers: list[Answer] = []
    race(harness, lambda: answers.append(harness.post(a_request())))
    answers.append(harness.post(a_request()))

    assert [answer.status for answer in answers] == [200, 200]
    assert harness.published_runs() == {harness.task().run}


def test_two_requests_for_one_id_with_other_content_at_once_conflict() -> None:
    harness = Harness()
    race(harness, lambda: harness.post(a_request({"prompt": "A cat"})))
    assert harness.post(a_request()).status == 409
    assert len(harness.tasks.tasks()) == 1


def test_two_requests_with_one_key_at_once_are_one_task() -> None:
    harness = Harness()
    answers: list[Answer] = []
    race(harness, lambda: answers.append(harness.post(a_request(id=None), idempotency_key="k")))
    answers.append(harness.post(a_request(id=None), idempotency_key="k"))

    assert answers[0].body == answers[1].body
    assert len(harness.tasks.tasks()) == 1


def test_two_reruns_of_an_ended_task_at_once_are_one_run() -> None:
    harness = Harness()
    harness.submit()
    harness.call("DELETE", "/v1alpha2/tasks/test-t2i")
    race(harness, lambda: harness.post(a_request({"prompt": "A cat"})))

    assert harness.post(a_request({"prompt": "A cat"})).status == 200
    assert len(harness.published_runs()) == 2


def test_an_instance_that_claims_before_the_mark_does_no_harm() -> None:
    harness = Harness()
    rival = Rival(harness, "save", lambda: claim(harness))
    harness.rewire(tasks=rival)

    assert harness.post(a_request()).status == 200
    assert harness.task().status == "running"


def test_a_race_that_is_never_won_is_a_503() -> None:
    class Conflicting(Fuse):
        def step(self, name: str) -> None:
            if name == "before create":
                raise RecordConflict

    harness = Harness()
    fuse_submission(harness, Conflicting())
    assert harness.post(a_request()).status == 503


class Rival:
    """The task store, in which `event` happens right before the first `method`."""

    def __init__(self, harness: Harness, method: str, event: Callable[[], object]) -> None:
        self._tasks = harness.tasks
        self._method = method
        self._events = [event]

    def __getattr__(self, name: str) -> object:
        if name == self._method and self._events:
            self._events.pop()()
        return getattr(self._tasks, name)


def race(harness: Harness, event: Callable[[], object]) -> None:
    harness.rewire(tasks=Rival(harness, "create", event))


def claim(harness: Harness) -> None:
    now = harness.clock.now()
    harness.change(
        lambda task: transitions.claim(
            task, run=task.run, token="t", instance_id="i", lease_until=now + timedelta(seconds=30), now=now
        )
    )
