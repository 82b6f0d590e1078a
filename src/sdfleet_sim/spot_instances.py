"""A group's Spot side: where there is capacity, who has to go with a zone, and the way back from On-Demand."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sdfleet.domain.interruption import INTERRUPTION_MARGIN
from sdfleet_sim.instance import Instance, Purchase, State
from sdfleet_sim.spot_market import Zone

if TYPE_CHECKING:
    from sdfleet_sim.fleet import Fleet


def on_demand_among(instances: Iterable[Instance]) -> int:
    return sum(1 for one in instances if one.purchase is Purchase.ON_DEMAND)


class SpotInstances:
    def __init__(self, fleet: Fleet, zones: Sequence[Zone]) -> None:
        self._fleet = fleet
        self._zones = zones
        self._draw = random.Random(f"{fleet.scenario.seed}/spot")
        for index, zone in enumerate(zones):
            for at in zone.outages():
                fleet.at(at, self._lose_zone, index)

    def zone_with_capacity(self) -> int | None:
        """Any of those that have some: nothing public says how much each has."""
        ups = [index for index, zone in enumerate(self._zones) if zone.is_up(self._fleet.now)]
        return ups[int(self._draw.random() * len(ups))] if ups else None

    def exchange(self, _: None = None) -> None:
        """Spot for On-Demand, little by little and the new ones first (API reference, InstancesDistribution)."""
        fleet = self._fleet
        there = fleet.there()
        surplus = on_demand_among(there) - fleet.plan.on_demand_of(fleet.desired)
        if fleet.is_on_demand_only or surplus <= 0:
            return
        above = len(there) - fleet.desired
        coming = sum(1 for one in there if one.purchase is Purchase.SPOT and one.ready_at < 0)
        if above <= 0:
            fleet.launch_above(min(surplus, max(1, fleet.desired // 10)))
        else:
            leaving = [one for one in there if one.purchase is Purchase.ON_DEMAND and one.ready_at >= 0]
            for one in leaving[: max(0, min(surplus, above - coming))]:
                fleet.end(one)
        fleet.at(fleet.now + fleet.assumed.auto_scaling.exchange_s, self.exchange)

    def _lose_zone(self, index: int) -> None:
        spot = self._fleet.assumed.spot
        for one in list(self._fleet.instances.values()):
            if one.zone == index and one.is_there and self._draw.random() < spot.together_share:
                self._fleet.at(self._fleet.now + self._draw.random() * spot.together_s, self._notice, one)

    def _notice(self, one: Instance) -> None:
        if one.state is State.GONE:
            return
        fleet, scheduler = self._fleet, self._fleet.assumed.scheduler
        fleet.ledger.interruptions += 1
        if self._draw.random() < scheduler.unannounced_share:
            fleet.interrupt(one, left_s=0.0, silent_s=scheduler.lease_s)
        else:
            fleet.interrupt(one, left_s=scheduler.interruption_notice_s - INTERRUPTION_MARGIN.total_seconds())
        # Capacity rebalancing orders the replacement no later than the notice.
        fleet.fill()
