"""An instance refresh as Auto Scaling reports it, and what can be asked of it (Auto Scaling API reference)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class RefreshStatus(StrEnum):
    """Of an instance refresh (Auto Scaling API, InstanceRefresh)."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    BAKING = "Baking"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"
    ROLLBACK_IN_PROGRESS = "RollbackInProgress"
    ROLLBACK_SUCCESSFUL = "RollbackSuccessful"
    ROLLBACK_FAILED = "RollbackFailed"

    @property
    def is_over(self) -> bool:
        return self in _OVER


_OVER = {
    RefreshStatus.SUCCESSFUL,
    RefreshStatus.FAILED,
    RefreshStatus.CANCELLED,
    RefreshStatus.ROLLBACK_SUCCESSFUL,
    RefreshStatus.ROLLBACK_FAILED,
}
#: RollbackInstanceRefresh is taken in these (IrreversibleInstanceRefresh otherwise).
REVERSIBLE = {RefreshStatus.PENDING, RefreshStatus.IN_PROGRESS, RefreshStatus.BAKING}


@dataclass(frozen=True)
class Refresh:
    """An instance refresh as DescribeInstanceRefreshes has it."""

    id: str
    status: RefreshStatus
    #: The launch template version of its desired configuration; None: it has none and is not of ours.
    template_version: str | None
    started_at: datetime
    percentage_complete: int = 0
    reason: str | None = None


class TrialWatch(StrEnum):
    """Which of the alarms on a release on trial are there."""

    NONE = "none"
    SOME = "some"
    ALL = "all"
    #: CloudWatch did not say.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Observed:
    #: When the describe calls were made.
    at: datetime
    #: Of the group, in any order.
    refreshes: tuple[Refresh, ...]
    #: The group's own limit from below, and its instances that take tasks.
    minimum: int = 0
    in_service: int = 0
    watch: TrialWatch = TrialWatch.UNKNOWN

    @property
    def is_refreshed(self) -> bool:
        """No refresh is under way, whoever began it."""
        return all(one.status.is_over for one in self.refreshes)


@dataclass(frozen=True)
class StartRefresh:
    template_version: str
    #: Ascending; the last is the target (CheckpointPercentages).
    checkpoints: tuple[int, ...]
    checkpoint_delay: timedelta
    bake: timedelta
    #: Back by itself on a failure or an alarm. Not on the way back: there is nothing behind it.
    auto_rollback: bool
    #: On trial: its alarms are made before the refresh is asked for; None: nobody is.
    release: str | None = None


@dataclass(frozen=True)
class CancelRefresh:
    pass


@dataclass(frozen=True)
class RollBackRefresh:
    pass


@dataclass(frozen=True)
class SetMinimum:
    """The group never has fewer instances; it launches what is missing."""

    minimum: int


@dataclass(frozen=True)
class WatchTrial:
    """Make what is missing of the alarms on this release."""

    release: str


@dataclass(frozen=True)
class EndTrial:
    """Delete the alarms on the release that was on trial."""


Action = StartRefresh | CancelRefresh | RollBackRefresh | SetMinimum | WatchTrial | EndTrial
