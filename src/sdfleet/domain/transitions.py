"""A task's life. Each function takes a record and returns the next; the store writes it if nobody else has.

::

    queued ──claim──▶ running ──▶ succeeded
       ▲                 │  └───▶ failed      (attempts spent, or a permanent failure)
       └── requeue ──────┘        cancelled   (from queued, or from running through the runtime's interrupt)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto

from sdfleet.domain.task import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_TIMEOUT,
    TASK_EXPIRY,
    Artifact,
    Claim,
    Failure,
    Submission,
    Task,
    TaskStatus,
)
from sdfleet.errors import ClaimLost, TransitionRefused

#: Runs of one task that may end with a dead instance before they count: a Spot storm is not the task's fault.
FREE_LEASE_LOSSES = 5
#: For so long the sweeper leaves a record alone that wants something done (publish, notify) after its last step.
#: Above the submission handler's own time limit of 29 s, so that the sweeper never races a living request.
SWEEP_GRACE = timedelta(seconds=60)

CANCELLED = Failure("cancelled", "The task was cancelled.", permanent=True)
EXPIRED = Failure("expired", "The task was not run before its expiry. Send it again.", permanent=True)
ATTEMPTS_SPENT = Failure("attempts_spent", "Every attempt ended with a lost instance.", permanent=False)


class Admission(Enum):
    """What an instance that received a message of the task has to do with it."""

    #: Claim and run it.
    RUN = auto()
    #: The message is of an older run: delete it.
    OLDER_RUN = auto()
    #: The task is terminal: send the notice if nobody did, delete the message.
    ENDED = auto()
    #: Another instance holds it: hide the message until that lease ends.
    HELD = auto()
    #: Cancelled before its turn: say so.
    CANCEL = auto()
    EXPIRED = auto()
    #: Every attempt ended without a word.
    SPENT = auto()


def admission(task: Task, *, run: str, now: datetime) -> Admission:
    if task.run != run:
        return Admission.OLDER_RUN
    if task.is_terminal:
        return Admission.ENDED
    if task.is_leased(now):
        return Admission.HELD
    if task.cancel_requested:
        return Admission.CANCEL
    if task.expires_at <= now:
        return Admission.EXPIRED
    if are_attempts_spent(_with_loss_counted(task)):
        return Admission.SPENT
    return Admission.RUN


def new_task(
    submission: Submission,
    *,
    task_id: str,
    run: str,
    runtime: str,
    fingerprint: str,
    content_location: str,
    now: datetime,
    timeout: timedelta = DEFAULT_TIMEOUT,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
) -> Task:
    """The record of a submission accepted at `now`, not yet dispatched."""
    if submission.options.timeout_s is not None:
        timeout = timedelta(seconds=submission.options.timeout_s)
    return Task(
        id=task_id,
        run=run,
        api_version=submission.api_version,
        runtime=runtime,
        tasktype=submission.tasktype,
        prefix=submission.prefix,
        context=submission.context,
        fingerprint=fingerprint,
        content_location=content_location,
        created_at=now,
        expires_at=now + TASK_EXPIRY,
        timeout=timeout,
        max_attempts=max_attempts,
        options=submission.options,
        model=submission.model,
        trace_header=submission.trace_header,
    )


def dispatched(task: Task, *, now: datetime) -> Task:
    """The request topic took the message."""
    return task if task.dispatched_at else replace(task, dispatched_at=now)


def claim(task: Task, *, run: str, token: str, instance_id: str, lease_until: datetime, now: datetime) -> Task:
    """`instance_id` starts the run.

    A claim over an expired lease counts a loss; past `FREE_LEASE_LOSSES` it spends an attempt.

    Raises:
        ClaimLost: the message is of an older run.
        TransitionRefused: `admission` says anything but RUN.
    """
    admitted = admission(task, run=run, now=now)
    if admitted is Admission.OLDER_RUN:
        raise ClaimLost
    if admitted is not Admission.RUN:
        raise TransitionRefused(f"the task cannot be claimed: {admitted.name.lower()}")
    task = _with_loss_counted(task)
    return replace(
        task,
        status=TaskStatus.RUNNING,
        claim=Claim(token=token, instance_id=instance_id, lease_until=lease_until),
        dispatched_at=task.dispatched_at or now,
        started_at=now,
        progress=0.0,
    )


def renew(task: Task, *, run: str, token: str, lease_until: datetime, progress: float) -> Task:
    """A heartbeat of the claim: SQS was extended before.

    Raises:
        ClaimLost: the task is no longer ours.
    """
    held = _held(task, run, token)
    return replace(task, claim=replace(held, lease_until=lease_until), progress=max(task.progress, progress))


def requeue(task: Task, *, run: str, token: str, spends_attempt: bool, counts_loss: bool = False) -> Task:
    """Give the task back. An interruption spends no attempt.

    Raises:
        ClaimLost: the task is no longer ours.
    """
    _held(task, run, token)
    return replace(
        task,
        status=TaskStatus.QUEUED,
        claim=None,
        progress=0.0,
        attempt=task.attempt + (1 if spends_attempt else 0),
        losses=task.losses + (1 if counts_loss else 0),
    )


def succeed(
    task: Task, *, run: str, token: str, artifacts: tuple[Artifact, ...], output_url: str, now: datetime
) -> Task:
    """The bytes are in the bucket.

    Raises:
        ClaimLost: the task is no longer ours.
    """
    _held(task, run, token)
    return replace(
        task,
        status=TaskStatus.SUCCEEDED,
        claim=None,
        artifacts=artifacts,
        output_url=output_url,
        progress=1.0,
        finished_at=now,
    )


def fail(task: Task, failure: Failure, *, run: str, now: datetime, token: str | None = None) -> Task:
    """End the task with `failure`; without a token only a task that nobody holds.

    Raises:
        ClaimLost: another run or claim owns the task.
        TransitionRefused: the task is terminal.
    """
    _may_end(task, run, token, now)
    return replace(task, status=TaskStatus.FAILED, claim=None, error=failure, finished_at=now)


def expire(task: Task, *, now: datetime) -> Task:
    """Fail a task whose expiry has passed.

    Raises:
        TransitionRefused: it has not, or the task is terminal or held.
    """
    if task.expires_at > now:
        raise TransitionRefused("the task has not expired")
    return fail(task, EXPIRED, run=task.run, now=now)


def request_cancel(task: Task, *, now: datetime) -> Task:
    """Cancel a queued task now; ask the instance of a running one to interrupt it.

    Raises:
        TransitionRefused: the task is terminal.
    """
    if task.is_terminal:
        raise TransitionRefused(f"The task has ended already: {task.status}.")
    if task.is_leased(now):
        return replace(task, cancel_requested=True)
    return replace(
        task, status=TaskStatus.CANCELLED, claim=None, cancel_requested=True, error=CANCELLED, finished_at=now
    )


def cancelled(task: Task, *, run: str, now: datetime, token: str | None = None) -> Task:
    """The runtime was interrupted, or the task had not begun.

    Raises:
        ClaimLost, TransitionRefused: as `fail`.
    """
    _may_end(task, run, token, now)
    return replace(task, status=TaskStatus.CANCELLED, claim=None, error=CANCELLED, finished_at=now)


def notified(task: Task, *, run: str, now: datetime) -> Task:
    """The result topic took the notice.

    Raises:
        ClaimLost: the record is of another run by now.
        TransitionRefused: the task has not ended.
    """
    if task.run != run:
        raise ClaimLost
    if not task.is_terminal:
        raise TransitionRefused("the task has not ended")
    return task if task.notified_at else replace(task, notified_at=now)


def are_attempts_spent(task: Task) -> bool:
    return task.attempt > task.max_attempts


def due_at(task: Task) -> datetime | None:
    """When the sweeper must look at the record; None when nothing is left to do."""
    if task.is_terminal:
        if task.notified_at or task.finished_at is None:
            return None
        # Only who holds its message makes it so, and the message comes again until somebody was told: the time stays
        # what it was, for each change of it is two more writes.
        return task.expires_at if task.status is TaskStatus.SUCCEEDED else task.finished_at + SWEEP_GRACE
    # From beginning to end: one that was never dispatched is found among the newly accepted, by `is_undispatched`.
    return task.expires_at


def is_undispatched(task: Task, *, now: datetime) -> bool:
    """Whether whoever accepted it is gone and has not said that the topic took its message."""
    return not task.is_terminal and task.dispatched_at is None and task.created_at + SWEEP_GRACE <= now


def _with_loss_counted(task: Task) -> Task:
    """The task as a claim over its expired lease finds it; unchanged if nobody lost it."""
    if task.status is not TaskStatus.RUNNING:
        return task
    spends = task.losses >= FREE_LEASE_LOSSES
    return replace(task, losses=task.losses + 1, attempt=task.attempt + (1 if spends else 0))


def _held(task: Task, run: str, token: str) -> Claim:
    if task.run != run or task.claim is None or task.claim.token != token:
        raise ClaimLost
    return task.claim


def _may_end(task: Task, run: str, token: str | None, now: datetime) -> None:
    if token is not None:
        _held(task, run, token)
        return
    if task.run != run:
        raise ClaimLost
    if task.is_terminal:
        raise TransitionRefused
    if task.is_leased(now):
        raise TransitionRefused("another instance holds the task")
