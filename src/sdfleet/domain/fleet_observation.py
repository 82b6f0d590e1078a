"""What the fast scaler sees of a fleet, and what it has been told to aim at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sdfleet.domain.scaling import DEFAULT_IDLE_AFTER, Limits

#: A queue that is empty within a minute is a wait that people put up with.
DEFAULT_TARGET_QUEUE = timedelta(seconds=60)
#: EC2 bills a minute at least; what a surplus instance has not been given in that time it will not be given soon.
DEFAULT_SURPLUS_AFTER = timedelta(seconds=60)
#: Until a fleet has measured its own: an SDXL picture on the cheapest type of the default list, rounded up.
ASSUMED_TASK = timedelta(seconds=10)
#: From the order to the first task, until it is measured: the promise of the cold start at the median.
ASSUMED_BOOT = timedelta(seconds=75)
#: One death may be a bad machine, two a bad zone.
DEFAULT_MOST_BOOT_FAILURES = 3
#: What kept the release from booting may have passed; one instance finds out, four to six times an hour.
DEFAULT_BOOT_RETRY = timedelta(minutes=10)
#: An ordinary Spot launch takes seconds. Five minutes without one: the pools are dry.
DEFAULT_FALLBACK_AFTER = timedelta(minutes=5)
#: Spot outages of the public traces last 0.8 to 3.6 hours on average; looking again costs a few launches at most.
DEFAULT_RETURN_AFTER = timedelta(minutes=30)


class RolloutStage(StrEnum):
    """How far a rollout keeps the scaler from changing the fleet."""

    NONE = "none"
    #: Instances are being replaced: growing is fine, taking away is the refresh's business.
    MOVING = "moving"
    #: The new release is on trial: its share of the fleet stays as it is.
    BAKING = "baking"


@dataclass(frozen=True, slots=True)
class IdleInstance:
    """In service, and without a task in hand."""

    instance_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ComingInstance:
    """Launched, and not yet in service."""

    instance_id: str
    #: When it was first seen.
    since: datetime


@dataclass(frozen=True, slots=True)
class ManualSetting:
    """An operator's word: so many instances, no more and no fewer."""

    capacity: int
    #: None: until it is released.
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Surplus:
    """More instances in service than the work needs, at every look since then."""

    since: datetime
    #: The least that it was, less those that have been let go for it.
    least: int
    #: The capacity asked for at the last look, and when that was.
    desired: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Observed:
    """A fleet at one moment. Instances that leave are in none of the counts."""

    visible: int
    in_flight: int
    #: What the group has been asked for.
    desired: int
    limits: Limits
    #: In service with a task in hand, or not known to be idle.
    busy: int = 0
    idle: tuple[IdleInstance, ...] = ()
    coming: tuple[ComingInstance, ...] = ()
    #: Somebody has handed in a task just now, whether or not the queue's counts show it yet.
    is_called: bool = False
    #: Seconds on one instance, and from order to service; None: never measured.
    task_s: float | None = None
    boot_s: float | None = None
    #: Tasks a second that surely go on coming (`sdfleet.domain.arrivals`).
    arrivals_per_s: float = 0.0
    #: In a row, of the release that would be launched now.
    boot_failures: int = 0
    boot_failed_at: datetime | None = None
    rollout: RolloutStage = RolloutStage.NONE
    manual: ManualSetting | None = None
    #: Since when there are fewer instances than were asked for; None: there are not.
    short_since: datetime | None = None
    #: Since when On-Demand stands in for Spot; None: it does not.
    on_demand_since: datetime | None = None
    #: As the looks before have found it; None: there was none.
    surplus: Surplus | None = None

    @property
    def backlog(self) -> int:
        """Tasks that wait or run."""
        return self.visible + self.in_flight

    @property
    def running(self) -> int:
        return self.busy + len(self.idle)

    @property
    def ordered(self) -> int:
        """Asked for, and not even launched."""
        return max(0, self.desired - self.running - len(self.coming))


@dataclass(frozen=True, slots=True)
class ScalerSettings:
    #: What waits is worked off within this, counted from when an instance ordered now could begin.
    target_queue: timedelta = DEFAULT_TARGET_QUEUE
    #: The last instance stays idle for so long, the others for less.
    idle_after: timedelta = DEFAULT_IDLE_AFTER
    surplus_after: timedelta = DEFAULT_SURPLUS_AFTER
    most_boot_failures: int = DEFAULT_MOST_BOOT_FAILURES
    boot_retry: timedelta = DEFAULT_BOOT_RETRY
    #: None: a fleet without Spot waits for Spot.
    fallback_after: timedelta | None = DEFAULT_FALLBACK_AFTER
    return_after: timedelta = DEFAULT_RETURN_AFTER
    assumed_task: timedelta = ASSUMED_TASK
    assumed_boot: timedelta = ASSUMED_BOOT
    #: `target_queue` in seconds: read at every decision.
    target_s: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        """Raises:
        ValueError: the target is not a time.
        """
        if self.target_queue <= timedelta(0):
            raise ValueError("the target must be more than 0 seconds")
        object.__setattr__(self, "target_s", self.target_queue.total_seconds())
