from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from builders import NOON, RUN, a_failed_task, a_queued_task, a_running_task, a_succeeded_task
from sdfleet.domain.task import Task
from sdfleet.domain.transitions import FREE_LEASE_LOSSES
from sdfleet.domain.wire import messages
from sdfleet_lambdas import dead_letters
from sdfleet_lambdas.dead_letters import VISIBILITY
from service_harness import Fuse, Fused, Harness

DLQ = "sdruntime-dead-letters"
#: More than a letter takes in these tests.
TIME = timedelta(seconds=45)


@pytest.fixture
def harness() -> Harness:
    return Harness()


def given(harness: Harness, task: Task) -> Task:
    return harness.tasks.create(task, replacing=None, now=NOON)


def deliver(harness: Harness, body: str, queue: str = DLQ) -> int:
    """How many letters are in the queue after a run that found `body` there."""
    harness.dead_letter_queues[queue].take_over("m-1", body)
    dead_letters.collect(harness.services, until=harness.clock.now() + TIME)
    return harness.dead_letter_queues[queue].depth()


def message_of(task: Task) -> str:
    return messages.write_message(task, {"prompt": "A dog"})


def test_a_task_that_may_run_again_is_sent_back(harness: Harness) -> None:
    task = given(harness, a_queued_task())
    assert deliver(harness, message_of(task)) == 0

    assert harness.queues["sdruntime"].bodies() == [message_of(task)]
    assert harness.task() == task
    assert harness.notices() == []
    assert "sent back" in harness.kept()[0]["reason"]


def test_it_goes_back_to_the_queue_it_came_from(harness: Harness) -> None:
    given(harness, a_queued_task())
    deliver(harness, message_of(harness.task()), "sddynamic-dead-letters")
    assert harness.queues["sddynamic"].depth() == 1


def test_a_task_under_a_live_lease_is_sent_back_untouched(harness: Harness) -> None:
    task = given(harness, a_running_task(attempt=9))
    deliver(harness, message_of(task))
    assert harness.queues["sdruntime"].depth() == 1
    assert harness.task() == task


def test_a_task_whose_attempts_are_spent_fails_with_a_notice(harness: Harness) -> None:
    task = given(harness, a_queued_task(attempt=4))
    deliver(harness, message_of(task))

    assert harness.task().status == "failed"
    assert harness.task().notified_at
    assert harness.notices()[0]["error"]["code"] == "attempts_spent"
    assert harness.queues["sdruntime"].depth() == 0


def test_a_last_attempt_that_ended_with_a_dead_instance_is_spent(harness: Harness) -> None:
    task = given(harness, a_running_task(attempt=3, losses=FREE_LEASE_LOSSES))
    harness.clock.advance(timedelta(minutes=5))
    deliver(harness, message_of(task))
    assert harness.task().status == "failed"


def test_a_lost_instance_with_attempts_left_is_sent_back(harness: Harness) -> None:
    task = given(harness, a_running_task(attempt=1))
    harness.clock.advance(timedelta(minutes=5))
    deliver(harness, message_of(task))
    assert harness.queues["sdruntime"].depth() == 1


def test_an_expired_task_fails_with_a_notice(harness: Harness) -> None:
    task = given(harness, a_queued_task())
    harness.clock.advance(timedelta(days=8))
    deliver(harness, message_of(task))
    assert harness.notices()[0]["error"]["code"] == "expired"


def test_a_task_that_asked_to_be_cancelled_is_cancelled(harness: Harness) -> None:
    task = given(harness, a_queued_task(cancel_requested=True))
    deliver(harness, message_of(task))
    assert [notice["status"] for notice in harness.notices()] == ["cancelled"]


@pytest.mark.parametrize("task", [a_succeeded_task(), a_failed_task()])
def test_a_terminal_task_is_announced_if_nobody_did(harness: Harness, task: Task) -> None:
    given(harness, task)
    deliver(harness, message_of(task))
    deliver(harness, message_of(task))
    assert len(harness.notices()) == 1
    assert harness.queues["sdruntime"].depth() == 0


def test_a_message_of_an_older_run_is_only_kept(harness: Harness) -> None:
    task = given(harness, a_queued_task(run="run-2"))
    old = json.loads(message_of(task))
    old["metadata"]["run"] = RUN
    deliver(harness, json.dumps(old))

    assert harness.task() == task
    assert (harness.notices(), harness.queues["sdruntime"].depth()) == ([], 0)
    assert "older run" in harness.kept()[0]["reason"]


def test_a_message_of_an_unknown_task_is_kept_and_answered(harness: Harness) -> None:
    deliver(harness, message_of(a_queued_task()))
    assert harness.notices()[0]["error"]["code"] == "unknown_task"
    assert len(harness.kept()) == 1


@pytest.mark.parametrize(
    ("body", "notices"),
    [("not json", 0), ("{}", 0), (json.dumps({"metadata": {"id": "a", "run": "r"}}), 1)],
)
def test_what_cannot_be_parsed_is_kept_and_answered_where_an_id_is(harness: Harness, body: str, notices: int) -> None:
    deliver(harness, body)
    assert len(harness.kept()) == 1
    assert [notice["error"]["code"] for notice in harness.notices()] == ["malformed_message"] * notices


def test_a_direct_message_that_could_never_be_accepted_is_answered(harness: Harness) -> None:
    direct = {"metadata": {"id": "a", "runtime": "sdruntime", "tasktype": "text-to-image"}, "content": {}}
    deliver(harness, json.dumps(direct), "test-submissions-dead-letters")

    (notice,) = harness.notices()
    assert (notice["error"]["code"], notice["error"]["permanent"]) == ("not_accepted", False)


def test_a_task_of_a_runtime_that_is_gone_fails_with_a_notice(harness: Harness) -> None:
    task = given(harness, a_queued_task(runtime="gone"))
    deliver(harness, message_of(task), "test-submissions-dead-letters")
    assert harness.notices()[0]["error"]["code"] == "runtime_removed"


def test_an_sns_envelope_is_read_too(harness: Harness) -> None:
    task = given(harness, a_queued_task())
    envelope = json.dumps({"Type": "Notification", "Message": message_of(task)})
    deliver(harness, envelope)
    assert harness.queues["sdruntime"].bodies() == [envelope]


@pytest.mark.parametrize("at", range(2))
def test_an_outage_leaves_the_message_and_nothing_is_lost(harness: Harness, at: int) -> None:
    task = given(harness, a_queued_task(attempt=4))
    results: Any = harness.services.results
    harness.rewire(results=Fused(results, Fuse(at=at), "publish"))

    assert deliver(harness, message_of(task)) == 1
    harness.clock.advance(VISIBILITY)
    dead_letters.collect(harness.services, until=harness.clock.now() + TIME)
    assert harness.dead_letter_queues[DLQ].depth() == 0
    assert harness.task().notified_at
    assert len(harness.notices()) >= 1
