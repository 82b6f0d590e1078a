"""Where Spot instances are to be had: zones that go down and come back, each for itself and all of a region at once.

A zone is up while its own process and the region's are. Both have exponential runs, so that the zone's availability,
its mean time up, and the share of outages of the whole region come out as they were measured (docs/scaling.md).
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from sdfleet.errors import ConfigError
from sdfleet_sim.assumptions import MarketAssumptions, RegionAssumptions, ZoneAssumptions
from sdfleet_sim.spot_traces import SpotTrace

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Runs:
    """Mean seconds of an alternating process."""

    up_s: float
    down_s: float

    @property
    def down_share(self) -> float:
        return self.down_s / (self.up_s + self.down_s)


class Zone:
    """Up and down over the whole time of a simulation. `changes`: seconds, rising; the first is the beginning."""

    def __init__(self, name: str, changes: Sequence[float], *, is_up_first: bool) -> None:
        self.name = name
        self.changes = array("d", changes)
        self._is_up_first = is_up_first

    def is_up(self, at: float) -> bool:
        index = bisect.bisect_right(self.changes, at) - 1
        return self._is_up_first == (index % 2 == 0)

    def outages(self) -> list[float]:
        """When it goes down, the beginning apart."""
        first = 1 if self._is_up_first else 2
        return list(self.changes[first::2])

    def availability(self, until: float) -> float:
        edges = [*self.changes, until]
        runs = [later - earlier for earlier, later in itertools.pairwise(edges)]
        return sum(runs[0 if self._is_up_first else 1 :: 2]) / until


def own_runs(zone: ZoneAssumptions, region: RegionAssumptions) -> Runs:
    """The zone's own process: what remains of its outages without those of the region.

    Raises:
        ConfigError: the region is down more than the zone.
    """
    up_s, down_s = zone.up_h * _HOUR_S, zone.down_h * _HOUR_S
    availability = up_s / (up_s + down_s)
    if region.down_share == 0:
        return Runs(up_s, down_s)
    shared = _region_runs(region)
    own_availability = availability / (1 - region.down_share)
    rate = 1 / up_s - 1 / shared.up_s
    if own_availability >= 1 or rate <= 0:
        raise ConfigError("markets: a zone is down less, or goes down less often, than its whole region")
    own_up_s = 1 / rate
    return Runs(own_up_s, own_up_s * (1 - own_availability) / own_availability)


def generate(market: MarketAssumptions, until_s: float, seed: int) -> tuple[Zone, ...]:
    """One history of the market."""
    shared = [(0.0, math.inf)]
    if market.region.down_share > 0:
        shared = _ups(_region_runs(market.region), until_s, random.Random(f"{seed}/region"))
    zones = []
    for name, assumed in market.zones.items():
        own = _ups(own_runs(assumed, market.region), until_s, random.Random(f"{seed}/{name}"))
        zones.append(_zone(name, _both(shared, own)))
    return tuple(zones)


def replay(traces: Sequence[SpotTrace], until_s: float, seed: int) -> tuple[Zone, ...]:
    """Recorded zones, from one moment on that the seed draws; all at the same moment, and round at the end."""
    shortest = min(len(trace.counts) * trace.gap_s for trace in traces)
    begin = random.Random(f"{seed}/replay").random() * shortest
    zones = []
    for trace in traces:
        ups = trace.is_up
        first = int(begin / trace.gap_s)
        changes, state = [0.0], ups[first]
        for tick in range(1, math.ceil(until_s / trace.gap_s)):
            if ups[(first + tick) % len(ups)] != state:
                state = not state
                changes.append(tick * trace.gap_s)
        zones.append(Zone(trace.zone, changes, is_up_first=ups[first]))
    return tuple(zones)


def _region_runs(region: RegionAssumptions) -> Runs:
    down_s = region.down_h * _HOUR_S
    return Runs(down_s * (1 - region.down_share) / region.down_share, down_s)


def _ups(runs: Runs, until_s: float, draw: random.Random) -> list[tuple[float, float]]:
    """Times up, as (from, until); in the steady state at the beginning."""
    at, is_up, found = 0.0, draw.random() >= runs.down_share, []
    while at < until_s:
        end = at + draw.expovariate(1 / (runs.up_s if is_up else runs.down_s))
        if is_up:
            found.append((at, end))
        at, is_up = end, not is_up
    return found


def _both(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found = []
    i = j = 0
    while i < len(first) and j < len(second):
        begin, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if begin < end:
            found.append((begin, end))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return found


def _zone(name: str, ups: list[tuple[float, float]]) -> Zone:
    is_up_first = bool(ups) and ups[0][0] == 0.0
    edges = [edge for up in ups for edge in up]
    return Zone(name, edges if is_up_first else [0.0, *edges], is_up_first=is_up_first)
