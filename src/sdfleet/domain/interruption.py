"""Notices that an instance has to go, and what the running task does about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Upload (p99 6 s) + record + notice + visibility reset, doubled. Spot gives no second chance.
INTERRUPTION_MARGIN = timedelta(seconds=20)
#: Auto Scaling keeps an instance waiting no longer than this, or than this many times the hook's timeout, however
#: many heartbeats come (Auto Scaling User Guide, "Amazon EC2 Auto Scaling lifecycle hooks").
LONGEST_WAIT = timedelta(hours=48)
MOST_TIMEOUTS = 100
#: Under a rebalance recommendation no task that may take longer is begun: the notice that may follow leaves two
#: minutes. Above the default timeout, so that ordinary pictures go on being made.
LONGEST_UNDER_REBALANCE = timedelta(minutes=15)


class NoticeKind(StrEnum):
    #: Two minutes left (IMDS `spot/instance-action`).
    SPOT_INTERRUPTION = "spot_interruption"
    #: The group ends the instance (IMDS `autoscaling/target-lifecycle-state` = Terminated).
    TERMINATION = "termination"
    #: SIGTERM: a new scheduler version, a reboot, a person.
    SIGTERM = "sigterm"
    #: An operator's word (`sdfleet local drain`, POST /v1/drain).
    OPERATOR = "operator"
    #: The runtime does not come back, restarted or not: the machine is the fault.
    RUNTIME_HOPELESS = "runtime_hopeless"


@dataclass(frozen=True)
class Notice:
    kind: NoticeKind
    #: Everything must be settled by then.
    deadline: datetime


def tightened(current: Notice | None, new: Notice) -> Notice:
    """The notice in force: a later one can only shorten the deadline."""
    return new if current is None or new.deadline < current.deadline else current


def time_left(notice: Notice, *, now: datetime) -> timedelta:
    """Time for generating; what lies behind it belongs to settlement."""
    return max(timedelta(0), notice.deadline - INTERRUPTION_MARGIN - now)


def longest_wait(hook_timeout: timedelta) -> timedelta:
    """How long heartbeats can hold back the end of an instance whose termination hook has this timeout."""
    return min(LONGEST_WAIT, hook_timeout * MOST_TIMEOUTS)


def may_begin(timeout: timedelta, *, is_rebalance_recommended: bool) -> bool:
    """Whether a task with this time limit is begun on an instance that may be asked to go."""
    return not is_rebalance_recommended or timeout <= LONGEST_UNDER_REBALANCE


def can_finish(*, elapsed: timedelta, progress: float, left: timedelta) -> bool:
    """Whether a run that took `elapsed` for `progress` (0 to 1) will probably end within `left`.

    Without any progress there is nothing to reckon with: it may go on until the time is up.
    """
    if progress <= 0:
        return left > timedelta(0)
    return elapsed / progress - elapsed <= left
