"""An Auto Scaling group of five for tests of rollouts: what its documentation says, a minute a tick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sdfleet.domain.instance_refresh import (
    REVERSIBLE,
    Action,
    CancelRefresh,
    EndTrial,
    Observed,
    Refresh,
    RefreshStatus,
    RollBackRefresh,
    SetMinimum,
    StartRefresh,
    TrialWatch,
    WatchTrial,
)
from sdfleet.domain.release import Release
from sdfleet.domain.trial import Runs
from sdfleet.fleet_ports import FleetState


@dataclass
class Group:
    """Each instance by its launch template version, and the refreshes."""

    now: datetime
    instances: list[str] = field(default_factory=lambda: ["3"] * 5)
    refreshes: list[Refresh] = field(default_factory=list)
    #: The group's own launch template version: a refresh changes it when it succeeds.
    template: str = "3"
    #: Places of the instances that the present refresh has replaced: a rollback replaces no others.
    replaced: set[int] = field(default_factory=set)
    #: What was asked of it, in order; and the releases with a launch template version.
    asked: list[Action] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=lambda: {"1.0.0": "3"})
    minimum: int = 0
    #: The refresh that was asked for last.
    start: StartRefresh | None = None
    #: When the refresh may go on behind its first checkpoint; None: it has not come there.
    waits_until: datetime | None = None
    #: That ring now, by name.
    alarms: tuple[str, ...] = ()
    #: Of the alarms on the release on trial: how many are there, and whom they watch.
    watch: TrialWatch = TrialWatch.NONE
    watched: str | None = None
    is_robbed: bool = False
    #: What must never be: a refresh to a new release that goes on without them, or loses them on its way.
    unwatched: list[str] = field(default_factory=list)

    @property
    def active(self) -> Refresh | None:
        return next((one for one in self.refreshes if not one.status.is_over), None)

    def _set(self, refresh: Refresh) -> None:
        self.refreshes = [refresh if one.id == refresh.id else one for one in self.refreshes]

    def carry_out(self, action: Action) -> None:
        active = self.active
        self.asked.append(action)
        match action:
            case StartRefresh():
                if action.release is not None:
                    self._watch(action.release)
                if active is not None:
                    return
                refresh_id = f"refresh-{len(self.refreshes) + 1}"
                self.waits_until = None
                self.replaced = set()
                self.start = action
                self.refreshes.append(Refresh(refresh_id, RefreshStatus.PENDING, action.template_version, self.now))
            case CancelRefresh():
                if active is not None and active.status in REVERSIBLE:
                    self._set(replace(active, status=RefreshStatus.CANCELLING))
            case RollBackRefresh():
                if active is not None and active.status in REVERSIBLE:
                    self._set(replace(active, status=RefreshStatus.ROLLBACK_IN_PROGRESS, reason="asked"))
            case SetMinimum():
                self.minimum = action.minimum
            case WatchTrial():
                self._watch(action.release)
            case EndTrial():
                if active is not None:
                    self.unwatched.append(f"its alarms were deleted while {active.id} was {active.status}")
                self.watch, self.watched = TrialWatch.NONE, None

    def _watch(self, release: str) -> None:
        self.watch, self.watched, self.is_robbed = TrialWatch.ALL, release, False

    def rob(self) -> None:
        """Somebody deletes the alarms."""
        self.watch, self.is_robbed = TrialWatch.NONE, True

    def tick(self, *, is_alarmed: bool) -> None:
        """A minute passes."""
        self.now += timedelta(minutes=1)
        active = self.active
        if active is None:
            return
        template = active.template_version or ""
        if self.watch is not TrialWatch.ALL and template != self.template and not self.is_robbed:
            self.unwatched.append(f"{active.id} was {active.status} with {self.watch} of its alarms")
        match active.status:
            case RefreshStatus.PENDING:
                self._set(replace(active, status=RefreshStatus.IN_PROGRESS))
            case RefreshStatus.IN_PROGRESS if is_alarmed and template != self.template:
                self._set(replace(active, status=RefreshStatus.ROLLBACK_IN_PROGRESS, reason="alarm"))
            case RefreshStatus.IN_PROGRESS if self._is_at_checkpoint(active):
                pass
            case RefreshStatus.IN_PROGRESS:
                self._replace_one(template)
                done = 100 * self.instances.count(template) // 5
                status = RefreshStatus.BAKING if done == 100 else RefreshStatus.IN_PROGRESS
                self._set(replace(active, status=status, percentage_complete=done))
            case RefreshStatus.BAKING:
                self.template = template
                self._set(replace(active, status=RefreshStatus.SUCCESSFUL))
            case RefreshStatus.CANCELLING:
                self._set(replace(active, status=RefreshStatus.CANCELLED))
            case RefreshStatus.ROLLBACK_IN_PROGRESS:
                if self.replaced:
                    self.instances[self.replaced.pop()] = self.template
                else:
                    self._set(replace(active, status=RefreshStatus.ROLLBACK_SUCCESSFUL))

    def _is_at_checkpoint(self, active: Refresh) -> bool:
        if self.start is None or active.percentage_complete != self.start.checkpoints[0]:
            return False
        if self.waits_until is None:
            self.waits_until = self.now + self.start.checkpoint_delay
        return self.now < self.waits_until

    def _replace_one(self, template: str) -> None:
        old = next((index for index, one in enumerate(self.instances) if one != template), None)
        if old is not None:
            self.instances[old] = template
            self.replaced.add(old)

    def observed(self) -> Observed:
        return Observed(self.now, tuple(self.refreshes), self.minimum, len(self.instances), self.watch)

    def state(self) -> FleetState:
        releases = {template: version for version, template in self.versions.items()}
        return FleetState(5, self.minimum, 5, self.template, dict(Counter(releases[one] for one in self.instances)))

    def ringing(self) -> Sequence[str]:
        return self.alarms

    def runs(self, releases: Sequence[str], *, since: datetime, until: datetime | None = None) -> Mapping[str, Runs]:
        """A run a minute by each instance, all of them good."""
        minutes = int((self.now - since).total_seconds() / 60)
        shares = self.state().releases
        return {release: Runs(shares.get(release, 0) * minutes) for release in releases}

    def add_template_version(self, release: Release) -> str:
        return self.versions.setdefault(release.version, str(len(self.versions) + 3))
