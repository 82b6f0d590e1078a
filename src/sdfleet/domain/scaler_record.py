"""What the fast scaler remembers of a fleet from one look to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sdfleet.domain.arrivals import Arrivals
from sdfleet.domain.fleet_observation import ManualSetting, Surplus
from sdfleet.domain.wake import AWAKE_GRACE

#: An instance's word on its idleness; it says so every minute.
REPORT_LASTS = timedelta(minutes=3)


@dataclass(frozen=True)
class InstanceWork:
    """What an instance says of itself: when it changes, and once a minute."""

    instance_id: str
    at: datetime
    #: None: it has a task in hand.
    idle_since: datetime | None = None
    #: Seconds that a task keeps its runtime, of late; None: it has had none.
    task_s: float | None = None

    def is_fresh(self, now: datetime) -> bool:
        return now - self.at < REPORT_LASTS


@dataclass(frozen=True)
class BootFailures:
    """Instances in a row that ended before they were in service."""

    #: The launch template version that they were launched from.
    template_version: str
    count: int
    at: datetime


@dataclass(frozen=True)
class Fallback:
    """On-Demand in the place of Spot."""

    since: datetime
    #: The group's On-Demand base before, and as it was set.
    base_before: int
    base: int


@dataclass(frozen=True)
class ScalerRecord:
    #: Changes with every write; a writer names the one that it has read.
    revision: int = 0
    #: Until then somebody looks every few seconds; past it, asleep or at rest, the next task wakes the scaler.
    awake_until: datetime | None = None
    #: When a task was handed in to a sleeping scaler.
    called_at: datetime | None = None
    #: The invocation that decides: the newest.
    holder: str = ""
    #: Since when there is nothing to decide; the look a minute later is the last one.
    resting_since: datetime | None = None
    arrivals: Arrivals | None = None
    #: Instances on their way: since when they have been seen, and their launch template version.
    coming: Mapping[str, datetime] = field(default_factory=dict)
    task_s: float | None = None
    boot_s: float | None = None
    failures: BootFailures | None = None
    #: Since when instances are missing, and how many there were then.
    short_since: datetime | None = None
    short_at: int = 0
    surplus: Surplus | None = None
    fallback: Fallback | None = None
    manual: ManualSetting | None = None
    #: For `sdfleet local watch` and whoever asks: what was decided last, when, and the seconds of work that waited.
    reason: str = ""
    decided_at: datetime | None = None
    queued_s: float = 0.0

    def is_asleep(self, now: datetime) -> bool:
        return self.awake_until is None or self.awake_until <= now

    def woken(self, now: datetime) -> ScalerRecord:
        """A task was handed in while nobody looked."""
        return replace(self, called_at=now, awake_until=now + AWAKE_GRACE, resting_since=None)


def smoothed(before: float | None, measured: float, *, weight: float = 0.3) -> float:
    """A third of the way to what was measured last: a change of workload shows in a few looks."""
    return measured if before is None else before + weight * (measured - before)
