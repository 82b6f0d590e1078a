"""Notices that an instance has to go, and what the running task does about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Upload (p99 6 s) + record + notice + visibility reset, doubled. Spot gives no second chance.
INTERRUPTION_MARGIN = timedelta(seconds=20)


class NoticeKind(StrEnum):
    #: Two minutes left (IMDS `spot/instance-action`).
    SPOT_INTERRUPTION = "spot_interruption"
    #: The group ends the instance (IMDS `autoscaling/target-lifecycle-state` = Terminated).
    TERMINATION = "termination"
    #: SIGTERM: a new scheduler version, a reboot, a person.
    SIGTERM = "sigterm"


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


def can_finish(*, elapsed: timedelta, progress: float, left: timedelta) -> bool:
    """Whether a run that took `elapsed` for `progress` (0 to 1) will probably end within `left`.

    Without any progress there is nothing to reckon with: it may go on until the time is up.
    """
    if progress <= 0:
        return left > timedelta(0)
    return elapsed / progress - elapsed <= left
