"""What is simulated: the fleet, its load and its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta

from sdfleet.domain.scaling import DEFAULT_STEPS, Limits, StepTable
from sdfleet.errors import ConfigError


@dataclass(frozen=True)
class RolloutPlan:
    """An instance refresh `[canary, 100]` while the load goes on."""

    start_s: float
    canary_percent: int = 20
    bake_s: float = 600.0
    #: Instances above the capacity, percent, while they are being replaced.
    surge_percent: int = 10


@dataclass(frozen=True)
class FleetPlan:
    """One Auto Scaling group."""

    instance_types: tuple[str, ...] = ("g5.2xlarge",)
    limits: Limits = field(default_factory=lambda: Limits(0, 50))
    on_demand_base: int = 0
    on_demand_percentage: int = 0
    #: The root volume at boot: throughput or initialisation rate, whichever is less.
    volume_mib_s: float = 300.0
    #: In service when the simulation begins.
    initial: int = 0
    steps: StepTable = DEFAULT_STEPS
    #: On-Demand in place of Spot after so long without; None: never.
    fallback_after: timedelta | None = timedelta(minutes=5)

    def __post_init__(self) -> None:
        """Raises:
        ConfigError: numbers that no group can have.
        """
        if not 0 <= self.limits.least <= self.limits.greatest or self.limits.greatest < 1:
            raise ConfigError("min must be 0 or more and at most max; max must be 1 or more")
        if not self.instance_types:
            raise ConfigError("the fleet needs at least one instance type")

    def on_demand_of(self, capacity: int) -> int:
        """On-Demand instances of a group of `capacity` (Auto Scaling: the base, then the percentage, rounded up)."""
        above = max(0, capacity - self.on_demand_base)
        return min(capacity, self.on_demand_base) + math.ceil(above * self.on_demand_percentage / 100)


@dataclass(frozen=True)
class Scenario:
    runtime: str = "sdwebui"
    market: str = "us-west-2"
    fleet: FleetPlan = field(default_factory=FleetPlan)
    rollout: RolloutPlan | None = None
    seed: int = 1
    #: Seconds from the beginning to CloudWatch's first minute; None: drawn by the seed.
    alarm_phase_s: float | None = None
    #: After the last arrival the simulation gives up when this has passed.
    patience: timedelta = timedelta(days=3)
