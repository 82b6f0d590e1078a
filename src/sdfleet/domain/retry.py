"""What becomes of a task whose run failed. Decides; performs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sdfleet.domain.task import Failure, Task
from sdfleet.domain.transitions import FREE_LEASE_LOSSES

#: First retry delay; doubles with each attempt. A transient fault (out of memory, a hiccup) is often over in seconds.
RETRY_BASE = timedelta(seconds=2)
RETRY_MAX = timedelta(seconds=60)
#: The first lost runtime is not the task's fault; a task that loses it again may be the cause.
FREE_RUNTIME_LOSSES = 1
#: Between two deliveries of what a release on trial keeps failing: another has it meanwhile, or the trial ends.
TRIAL_RETRY_MAX = timedelta(minutes=2)
#: So many losses of a task are a trial's at most: fewer than are free, so that a lost instance is free after it.
MOST_TRIAL_LOSSES = FREE_LEASE_LOSSES - 1


class FailureKind(StrEnum):
    #: The request is wrong: the same again fails again.
    PERMANENT = "permanent"
    #: May go well next time: retried, counted.
    TRANSIENT = "transient"
    #: The runtime died under it: retried, counted only when it repeats.
    RUNTIME_LOST = "runtime_lost"
    #: Drain, scale-in, or a neighbour's interrupt: retried, never counted.
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class RetryAfter:
    delay: timedelta
    spends_attempt: bool
    counts_loss: bool = False


@dataclass(frozen=True)
class GiveUp:
    failure: Failure


def decide(kind: FailureKind, code: str, message: str, task: Task) -> RetryAfter | GiveUp:
    """The decision for a run of `task` that ended with this failure."""
    if kind is FailureKind.PERMANENT:
        return GiveUp(Failure(code, message, permanent=True))
    if kind is FailureKind.INTERRUPTED:
        return RetryAfter(timedelta(0), spends_attempt=False)
    spends = kind is FailureKind.TRANSIENT or task.losses >= FREE_RUNTIME_LOSSES
    if spends and task.attempt >= task.max_attempts:
        return GiveUp(Failure(code, message, permanent=False))
    delay = min(RETRY_BASE * 2 ** (task.attempt - 1), RETRY_MAX)
    return RetryAfter(delay, spends_attempt=spends, counts_loss=kind is FailureKind.RUNTIME_LOST)


def handed_back(task: Task, *, deliveries: int) -> RetryAfter:
    """For a run of `task` that failed on a release that is on trial: it is no word on the task, whatever it says.

    Only a release that is not on trial ends it; or this one, once it has proven itself; or the task's expiry.
    """
    return RetryAfter(trial_delay(deliveries), spends_attempt=False, counts_loss=task.losses < MOST_TRIAL_LOSSES)


def trial_delay(deliveries: int) -> timedelta:
    """Until a message that a release on trial could not work off is delivered again; `deliveries`: so far."""
    doubled: timedelta = RETRY_BASE * 2 ** min(deliveries - 1, 10)
    return min(doubled, TRIAL_RETRY_MAX)
