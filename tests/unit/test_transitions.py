from __future__ import annotations

from datetime import timedelta

import pytest

from builders import (
    INSTANCE,
    LEASE,
    NOON,
    RUN,
    TOKEN,
    a_failed_task,
    a_queued_task,
    a_running_task,
    a_submission,
    a_succeeded_task,
    a_task,
    an_artifact,
)  # fmt: skip
from sdfleet.domain import transitions
from sdfleet.domain.task import TASK_EXPIRY, Failure, Task, TaskOptions, TaskStatus
from sdfleet.domain.transitions import FREE_LEASE_LOSSES, SWEEP_GRACE, Admission
from sdfleet.errors import ClaimLost, TransitionRefused

LATER = NOON + timedelta(minutes=1)
BROKEN = Failure("broken", "It broke.", permanent=False)
TERMINAL = [a_succeeded_task(), a_failed_task(), a_queued_task(status=TaskStatus.CANCELLED, finished_at=NOON)]


def claim(task: Task, *, run: str = RUN, token: str = "token-2") -> Task:
    return transitions.claim(task, run=run, token=token, instance_id=INSTANCE, lease_until=LATER + LEASE, now=LATER)


def succeed(task: Task, *, run: str = RUN, token: str = TOKEN) -> Task:
    return transitions.succeed(
        task, run=run, token=token, artifacts=(an_artifact(),), output_url="s3://b/o.out", now=LATER
    )


def test_a_new_task_is_queued_for_its_first_attempt_and_not_dispatched() -> None:
    task = transitions.new_task(
        a_submission(),
        task_id="a",
        run=RUN,
        runtime="sdruntime",
        fingerprint="f",
        content_location="s3://b/c",
        now=NOON,
    )
    assert (task.status, task.attempt, task.dispatched_at) == (TaskStatus.QUEUED, 1, None)
    assert task.expires_at == NOON + TASK_EXPIRY


def test_a_request_may_shorten_its_timeout() -> None:
    submission = a_submission(options=TaskOptions(timeout_s=5))
    task = transitions.new_task(
        submission, task_id="a", run=RUN, runtime="r", fingerprint="f", content_location="s3://b/c", now=NOON
    )
    assert task.timeout == timedelta(seconds=5)


def test_a_dispatch_is_marked_once() -> None:
    first = transitions.dispatched(a_task(), now=NOON)
    assert transitions.dispatched(first, now=LATER) == first


def test_a_claim_starts_the_run() -> None:
    task = claim(a_queued_task())
    assert (task.status, task.started_at) == (TaskStatus.RUNNING, LATER)
    assert task.claim is not None
    assert task.claim.lease_until == LATER + LEASE


def test_a_claim_before_the_mark_marks_the_dispatch() -> None:
    assert claim(a_task()).dispatched_at == LATER


def test_a_claim_of_an_older_run_is_lost() -> None:
    with pytest.raises(ClaimLost):
        claim(a_queued_task(), run="run-0")


@pytest.mark.parametrize(
    "task",
    [
        *TERMINAL,
        a_running_task(claim=claim(a_queued_task()).claim),
        a_queued_task(cancel_requested=True),
        a_queued_task(attempt=4),
        a_queued_task(expires_at=LATER),
    ],
)
def test_a_claim_of_a_task_that_must_not_run_is_refused(task: Task) -> None:
    with pytest.raises(TransitionRefused):
        claim(task)


@pytest.mark.parametrize(
    ("task", "admission"),
    [
        (a_queued_task(), Admission.RUN),
        (a_running_task(), Admission.RUN),
        (a_queued_task(run="run-2"), Admission.OLDER_RUN),
        (a_succeeded_task(), Admission.ENDED),
        (claim(a_queued_task()), Admission.HELD),
        (a_queued_task(cancel_requested=True), Admission.CANCEL),
        (a_queued_task(expires_at=NOON), Admission.EXPIRED),
        (a_queued_task(attempt=4), Admission.SPENT),
        (a_running_task(attempt=3, losses=FREE_LEASE_LOSSES), Admission.SPENT),
        (a_running_task(attempt=3, losses=FREE_LEASE_LOSSES - 1), Admission.RUN),
    ],
)
def test_an_instance_knows_what_to_do_with_a_message(task: Task, admission: Admission) -> None:
    assert transitions.admission(task, run=RUN, now=LATER) is admission


def test_a_claim_over_an_expired_lease_counts_a_loss_but_no_attempt() -> None:
    task = claim(a_running_task(attempt=2))
    assert (task.losses, task.attempt) == (1, 2)


def test_losing_instances_again_and_again_counts_as_attempts() -> None:
    task = claim(a_running_task(attempt=2, losses=FREE_LEASE_LOSSES))
    assert task.attempt == 3


def test_a_heartbeat_moves_the_lease_and_never_takes_progress_back() -> None:
    task = transitions.renew(
        a_running_task(progress=0.5), run=RUN, token=TOKEN, lease_until=LATER + LEASE, progress=0.2
    )
    assert task.claim is not None
    assert (task.claim.lease_until, task.progress) == (LATER + LEASE, 0.5)


def test_an_interruption_does_not_spend_an_attempt() -> None:
    task = transitions.requeue(a_running_task(attempt=2), run=RUN, token=TOKEN, spends_attempt=False)
    assert (task.status, task.claim, task.attempt) == (TaskStatus.QUEUED, None, 2)


def test_a_failed_try_spends_an_attempt() -> None:
    task = transitions.requeue(a_running_task(attempt=2), run=RUN, token=TOKEN, spends_attempt=True)
    assert task.attempt == 3


def test_a_success_has_its_artifacts_and_an_end() -> None:
    task = succeed(a_running_task())
    assert (task.status, task.progress, task.finished_at, task.claim) == (TaskStatus.SUCCEEDED, 1.0, LATER, None)
    assert task.artifacts == (an_artifact(),)


@pytest.mark.parametrize(("run", "token"), [("run-0", TOKEN), (RUN, "token-0")])
def test_a_zombie_settles_nothing(run: str, token: str) -> None:
    task = a_running_task()
    with pytest.raises(ClaimLost):
        succeed(task, run=run, token=token)
    with pytest.raises(ClaimLost):
        transitions.fail(task, BROKEN, run=run, token=token, now=LATER)
    with pytest.raises(ClaimLost):
        transitions.cancelled(task, run=run, token=token, now=LATER)
    with pytest.raises(ClaimLost):
        transitions.requeue(task, run=run, token=token, spends_attempt=False)
    with pytest.raises(ClaimLost):
        transitions.renew(task, run=run, token=token, lease_until=LATER, progress=1)


def test_without_a_token_only_an_unheld_task_is_ended() -> None:
    assert transitions.fail(a_queued_task(), BROKEN, run=RUN, now=LATER).error == BROKEN
    with pytest.raises(TransitionRefused):
        transitions.fail(a_running_task(), BROKEN, run=RUN, now=NOON)


def test_a_queued_task_is_cancelled_at_once() -> None:
    task = transitions.request_cancel(a_queued_task(), now=LATER)
    assert (task.status, task.error) == (TaskStatus.CANCELLED, transitions.CANCELLED)


def test_a_running_task_is_asked_to_cancel() -> None:
    task = transitions.request_cancel(a_running_task(), now=NOON)
    assert (task.status, task.cancel_requested) == (TaskStatus.RUNNING, True)


@pytest.mark.parametrize("task", TERMINAL)
def test_an_ended_task_is_not_cancelled(task: Task) -> None:
    with pytest.raises(TransitionRefused, match=task.status):
        transitions.request_cancel(task, now=LATER)


def test_an_expiry_ends_only_what_has_expired() -> None:
    assert transitions.expire(a_queued_task(expires_at=LATER), now=LATER).error == transitions.EXPIRED
    with pytest.raises(TransitionRefused):
        transitions.expire(a_queued_task(), now=LATER)


def test_a_notice_is_marked_once() -> None:
    first = transitions.notified(a_failed_task(), run=RUN, now=NOON)
    assert transitions.notified(first, run=RUN, now=LATER) == first


def test_a_notice_of_an_older_run_is_not_marked() -> None:
    with pytest.raises(ClaimLost):
        transitions.notified(a_failed_task(), run="run-0", now=NOON)


def test_a_task_that_has_not_ended_has_no_notice() -> None:
    with pytest.raises(TransitionRefused):
        transitions.notified(a_running_task(), run=RUN, now=NOON)


@pytest.mark.parametrize(
    ("task", "due_at"),
    [
        (a_task(), NOON + TASK_EXPIRY),
        (a_queued_task(), NOON + TASK_EXPIRY),
        (a_running_task(), NOON + TASK_EXPIRY),
        (a_failed_task(finished_at=LATER), LATER + SWEEP_GRACE),
        (a_succeeded_task(), NOON + TASK_EXPIRY),
        (a_failed_task(notified_at=LATER), None),
    ],
)
def test_the_sweeper_looks_when_something_should_have_happened(task: Task, due_at: object) -> None:
    assert transitions.due_at(task) == due_at


@pytest.mark.parametrize(
    ("task", "after", "expected"),
    [
        (a_task(), SWEEP_GRACE, True),
        (a_task(), SWEEP_GRACE - timedelta(seconds=1), False),
        (a_queued_task(), SWEEP_GRACE, False),
        (a_failed_task(dispatched_at=None), SWEEP_GRACE, False),
    ],
)
def test_a_task_is_undispatched_once_its_request_must_be_over(task: Task, after: timedelta, expected: bool) -> None:
    assert transitions.is_undispatched(task, now=NOON + after) is expected
