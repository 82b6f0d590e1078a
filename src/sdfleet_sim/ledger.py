"""What a run leaves behind: when each task began, what each instance cost in hours, what was lost."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from sdfleet_sim.instance import Instance

#: EC2 bills a minute at least.
LEAST_BILLED_S = 60.0


@dataclass(frozen=True)
class Lived:
    """An instance that has ended."""

    instance_type: str
    purchase: str
    billed_from: float
    billed_s: float
    busy_s: float


@dataclass(frozen=True)
class Sample:
    """The fleet at one moment, for the plots."""

    at: float
    visible: int
    in_flight: int
    desired: int
    in_service: int


class Ledger:
    def __init__(self, tasks: int) -> None:
        #: By task: when its last run began.
        self.began = array("d", [-1.0]) * tasks
        self.done = 0
        self.interruptions = 0
        self.redone = 0
        self.lost_s = 0.0
        self.boots: list[float] = []
        #: The desired capacity: since when, and how much.
        self.capacities: list[tuple[float, int]] = [(0.0, 0)]
        self.lived: list[Lived] = []
        #: Of those that have ended.
        self.busy_s = 0.0
        self.most_in_service = 0
        self.samples: list[Sample] = []
        self.ended_at = 0.0

    def asked_for(self, at: float, capacity: int) -> None:
        if capacity != self.capacities[-1][1]:
            self.capacities.append((at, capacity))

    def lost(self, seconds: float) -> None:
        self.lost_s += seconds
        self.redone += 1

    def booted(self, seconds: float) -> None:
        self.boots.append(seconds)

    def ended(self, one: Instance) -> None:
        self.busy_s += one.busy_s
        if one.ended_at > one.billed_from:
            billed = max(LEAST_BILLED_S, one.ended_at - one.billed_from)
            self.lived.append(Lived(one.instance_type, one.purchase.value, one.billed_from, billed, one.busy_s))

    def close(self, now: float, remaining: Iterable[Instance]) -> None:
        """Those still there are billed up to now."""
        self.ended_at = now
        for one in remaining:
            one.ended_at = now
            self.ended(one)

    def fleet_s(self) -> float:
        """For so long there was an instance at all."""
        total, until = 0.0, 0.0
        for begin, end in sorted((one.billed_from, one.billed_from + one.billed_s) for one in self.lived):
            total += max(0.0, end - max(begin, until))
            until = max(until, end)
        return total
