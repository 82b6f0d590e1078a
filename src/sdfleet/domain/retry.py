"""What becomes of a task whose run failed. Decides; performs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sdfleet.domain.task import Failure, Task

#: First retry delay; doubles with each attempt. A transient fault (out of memory, a hiccup) is often over in seconds.
RETRY_BASE = timedelta(seconds=2)
RETRY_MAX = timedelta(seconds=60)
#: The first lost runtime is not the task's fault; a task that loses it again may be the cause.
FREE_RUNTIME_LOSSES = 1
#: Failures on a release that is on trial are its own until a task has met so many: as many as lost instances.
FREE_TRIAL_LOSSES = 5
#: So often others are asked whether a request is as wrong as a release on trial says: it may lack what they have.
SECOND_OPINIONS = 2


class FailureKind(StrEnum):
    #: The request is wrong: the same again fails again.
    PERMANENT = "permanent"
    #: May go well next time: retried, counted.
    TRANSIENT = "transient"
    #: The runtime died under it: retried, counted only when it repeats.
    RUNTIME_LOST = "runtime_lost"
    #: Drain, scale-in, or a neighbour's interrupt: retried, never counted.
    INTERRUPTED = "interrupted"


_FREE_ON_TRIAL = {
    FailureKind.TRANSIENT: FREE_TRIAL_LOSSES,
    FailureKind.RUNTIME_LOST: FREE_TRIAL_LOSSES,
    FailureKind.PERMANENT: SECOND_OPINIONS,
}


@dataclass(frozen=True)
class RetryAfter:
    delay: timedelta
    spends_attempt: bool
    counts_loss: bool = False


@dataclass(frozen=True)
class GiveUp:
    failure: Failure


def decide(kind: FailureKind, code: str, message: str, task: Task, *, is_on_trial: bool = False) -> RetryAfter | GiveUp:
    """The decision for a run of `task` that ended with this failure.

    `is_on_trial`: it ran on a release whose rollout has not succeeded; what fails there is no attempt of the task's.
    """
    if is_on_trial and task.losses < _FREE_ON_TRIAL.get(kind, 0):
        delay = min(RETRY_BASE * 2**task.losses, RETRY_MAX)
        return RetryAfter(delay, spends_attempt=False, counts_loss=True)
    if kind is FailureKind.PERMANENT:
        return GiveUp(Failure(code, message, permanent=True))
    if kind is FailureKind.INTERRUPTED:
        return RetryAfter(timedelta(0), spends_attempt=False)
    spends = kind is FailureKind.TRANSIENT or task.losses >= FREE_RUNTIME_LOSSES
    if spends and task.attempt >= task.max_attempts:
        return GiveUp(Failure(code, message, permanent=False))
    delay = min(RETRY_BASE * 2 ** (task.attempt - 1), RETRY_MAX)
    return RetryAfter(delay, spends_attempt=spends, counts_loss=kind is FailureKind.RUNTIME_LOST)
