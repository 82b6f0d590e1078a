"""What fleets of instances are watched and changed by: prices, releases, rollouts, scaling, boots.

As in `sdfleet.ports`: one contract suite for both kinds of adapters; any call blocks and may raise
`ServiceUnavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

# Named here and not used: a function loads the parts of the domain that it works with.
if TYPE_CHECKING:
    from sdfleet.domain.boot_record import BootRecord
    from sdfleet.domain.instance_refresh import Action, Observed
    from sdfleet.domain.release import Release
    from sdfleet.domain.rollout_record import RolloutHistory
    from sdfleet.domain.scaler_record import InstanceWork, ScalerRecord
    from sdfleet.domain.scaling import Limits
    from sdfleet.domain.spot import SpotPool
    from sdfleet.domain.trial import Runs


class SpotMarket(Protocol):
    """What Spot instances cost, as EC2 tells it."""

    def history(self, instance_types: Sequence[str], *, since: datetime) -> list[SpotPool]:
        """The prices that held at `since` and all later ones, in every zone that has the types."""


class SpotPrices(Protocol):
    """What the recorder has kept."""

    def load(self) -> list[SpotPool]: ...

    def save(self, pools: Sequence[SpotPool], *, now: datetime) -> None:
        """In the place of what was there; sorted by type. Kept for some weeks."""


class ReleaseStore(Protocol):
    """The public face of a runtime's releases: SSM parameters."""

    def read(self, runtime: str, name: str) -> str | None:
        """The parameter `name` (`image-version`, `previous-version`, `deployment-status`)."""

    def write(self, runtime: str, name: str, value: str) -> None: ...

    def create(self, runtime: str, name: str, value: str) -> bool:
        """Write it unless it is there; False: it is, and stays as it was."""


@dataclass(frozen=True)
class FleetState:
    """A runtime's group of instances, now."""

    #: Instances that there should be, and between what.
    capacity: int
    minimum: int
    maximum: int
    #: The numbered launch template version that new instances get.
    template_version: str
    #: Instances by the release that they say they run; the true share, whatever a refresh's percentage says.
    releases: Mapping[str, int]


class RolloutStore(Protocol):
    def load(self, runtime: str) -> RolloutHistory: ...

    def save(self, runtime: str, history: RolloutHistory) -> None:
        """Raises:
        RecordConflict: it changed since it was loaded; load it again.
        """


class RolloutGroup(Protocol):
    """A fleet's group as a rollout moves it."""

    def state(self) -> FleetState: ...

    def observed(self) -> Observed:
        """Its instance refreshes, newest first."""

    def add_template_version(self, release: Release) -> str:
        """The launch template version of the release; made at the first call."""

    def carry_out(self, action: Action) -> None:
        """Ask for it; nothing happens if that was done before."""

    def ringing(self) -> Sequence[str]:
        """Names of the alarms that turn rollouts back and ring now."""

    def runs(self, releases: Sequence[str], *, since: datetime, until: datetime | None = None) -> Mapping[str, Runs]:
        """What the instances of each release have run since then; None: up to now."""


@dataclass(frozen=True)
class GroupInstance:
    """One that stays."""

    instance_id: str
    #: False: it is on its way.
    is_in_service: bool
    template_version: str


@dataclass(frozen=True)
class GroupState:
    """A fleet's group, as its scaling sees it."""

    desired: int
    limits: Limits
    #: What is launched now.
    template_version: str
    #: Those that leave left out.
    instances: tuple[GroupInstance, ...] = ()
    on_demand_base: int = 0
    #: The alarms' policies do not act: somebody has the scaling in his own hands.
    is_suspended: bool = False


class ScaledGroup(Protocol):
    """A fleet's group, as the fast scaler changes it."""

    def look(self) -> GroupState: ...

    def raise_to(self, desired: int) -> None:
        """Ask for so many instances, now, whatever the group's cooldown."""

    def remove(self, instance_id: str) -> None:
        """Let this instance go, through its termination hook, and its place with it."""

    def set_on_demand_base(self, count: int) -> None:
        """The first so many instances are On-Demand; whatever else the group has been told of buying stays."""

    def suspend_alarms(self) -> None:
        """Let no alarm change the capacity."""

    def resume_alarms(self) -> None: ...


class ScalerStore(Protocol):
    """What the fast scaler remembers, by runtime."""

    def load(self, runtime: str) -> ScalerRecord: ...

    def save(self, runtime: str, record: ScalerRecord) -> ScalerRecord:
        """Returns it with its new revision.

        Raises:
            RecordConflict: it changed since it was loaded; load it again.
        """

    def wake(self, runtime: str, *, now: datetime) -> bool:
        """Mark that a task was handed in, if nobody looks within seconds; False: somebody does."""


class WorkReports(Protocol):
    """What instances say of themselves; kept for some hours."""

    def report(self, work: InstanceWork) -> None: ...

    def read(self, instance_ids: Sequence[str]) -> Mapping[str, InstanceWork]:
        """Of those that have said something, by id."""


class ScalerSchedule(Protocol):
    """What calls the fast scaler every minute while it is on."""

    @property
    def is_on(self) -> bool: ...

    def switch_on(self) -> None: ...

    def switch_off(self) -> None: ...


class BootRecords(Protocol):
    """How the boots of a release in a fleet end; kept for some weeks after the last one."""

    def load(self, runtime: str, release: str) -> BootRecord: ...

    def failed(self, runtime: str, release: str, *, instance_id: str, reason: str, now: datetime) -> None:
        """Count a boot that made no picture; nothing happens if this instance was the last that was counted."""

    def completed(self, runtime: str, release: str, *, boot_s: float, now: datetime) -> None:
        """Note how long a boot took; none has failed since."""
