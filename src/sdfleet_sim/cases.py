"""The traces that have names, and the settings that docs/scaling.md recommends for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sdfleet.domain.scaling import Limits
from sdfleet_sim import arrivals
from sdfleet_sim.arrivals import Trace
from sdfleet_sim.scenario import FleetPlan

_HOUR_S = 3600.0
_NIGHT_S = 8 * _HOUR_S


@dataclass(frozen=True)
class Volume:
    """Settings under `fleet.volume`."""

    size_gib: int = 80
    throughput: int = 300
    initialization_rate: int | None = 300

    @property
    def mib_s(self) -> float:
        # Not filled at a rate: the blocks of a boot come as lazily as they are asked for (aws-facts, "real enemy").
        return min(self.throughput, self.initialization_rate or 25)


@dataclass(frozen=True)
class Case:
    name: str
    meaning: str
    #: Of a seed.
    trace: Callable[[int], Trace]
    #: For ours, step-only and KEDA alike.
    limits: Limits
    #: Instances of the fixed fleet that does the same work.
    fixed: int
    why: str
    volume: Volume = Volume()

    def plan(self, *, is_fixed: bool = False) -> FleetPlan:
        return FleetPlan(
            limits=self.limits,
            initial=self.fixed if is_fixed else self.limits.least,
            fallback_after=timedelta(minutes=5),
            volume_mib_s=self.volume.mib_s,
        )


CASES = {
    case.name: case
    for case in (
        Case(
            "quiet",
            "a quiet night: 3 single requests in 8 hours",
            lambda seed: arrivals.singles(3, _NIGHT_S, seed, name="quiet"),
            Limits(0, 5),
            fixed=1,
            why="from zero and back; the volume is filled slowly, for a single picture may take half a minute longer",
            volume=Volume(size_gib=60, throughput=125, initialization_rate=100),
        ),
        Case(
            "day",
            "a business day: 100 requests a second for 8 hours",
            lambda seed: arrivals.constant(100, _NIGHT_S, seed, name="day"),
            Limits(0, 180),
            fixed=180,
            why="150 instances are busy all the time; a fifth more absorbs a zone that goes down",
        ),
        Case(
            "burst",
            "a flash crowd: 10,000 requests within 10 seconds",
            lambda seed: arrivals.burst(10_000, 10, seed, name="burst"),
            Limits(0, 20),
            fixed=20,
            why="each instance more shortens the wait, and costs its start: at 20 both are far below step-only",
        ),
        Case(
            "batch",
            "an overnight batch: a million requests within half an hour",
            lambda seed: arrivals.burst(1_000_000, 1800, seed, at_s=0.0, name="batch"),
            Limits(0, 50),
            fixed=50,
            why="done in a night, and few starts for the hours that each instance works",
            volume=Volume(size_gib=60, throughput=125, initialization_rate=100),
        ),
    )
}
#: Beside the cases, with numbers of one's own.
SHAPES = ("constant", "daily", "evenly")
