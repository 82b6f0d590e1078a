"""One simulation, from its parts to its outcome."""

from __future__ import annotations

from collections.abc import Sequence

from sdfleet_sim import spot_market
from sdfleet_sim.arrivals import Trace
from sdfleet_sim.assumptions import Assumptions
from sdfleet_sim.fleet import Fleet
from sdfleet_sim.instance import State
from sdfleet_sim.ledger import Ledger, Sample
from sdfleet_sim.policies.base import Policy
from sdfleet_sim.policies.choice import build
from sdfleet_sim.rollout import Rollout
from sdfleet_sim.scenario import Scenario
from sdfleet_sim.spot_market import Zone
from sdfleet_sim.spot_traces import SpotTrace

#: Points of a plot.
SAMPLES = 600


def market_of(
    scenario: Scenario, trace: Trace, assumed: Assumptions, recorded: Sequence[SpotTrace] = ()
) -> tuple[Zone, ...]:
    """The Spot market over the whole time that the scenario may take."""
    until_s = trace.duration_s + scenario.patience.total_seconds()
    if recorded:
        return spot_market.replay(recorded, until_s, scenario.seed)
    return spot_market.generate(assumed.markets[scenario.market], until_s, scenario.seed)


def run(scenario: Scenario, policy: str, trace: Trace, assumed: Assumptions, zones: Sequence[Zone]) -> Ledger:
    fleet = Fleet(scenario, trace, assumed, zones)
    parts = build(policy, fleet)
    if scenario.rollout is not None:
        parts = (*parts, Rollout(fleet, scenario.rollout, parts))
    for part in parts:
        part.start()
    Observer(fleet, parts).start()
    return fleet.run()


class Observer:
    """Takes the samples, and ends the run when nothing is left to come."""

    def __init__(self, fleet: Fleet, parts: Sequence[Policy]) -> None:
        self._fleet = fleet
        self._parts = parts
        self._every_s = max(1.0, fleet.trace.duration_s / SAMPLES)

    def start(self) -> None:
        self._fleet.at(0.0, self._look)

    def _look(self, _: None) -> None:
        fleet = self._fleet
        everyone = fleet.instances.values()
        in_service = sum(1 for one in everyone if one.state in (State.IDLE, State.BUSY))
        fleet.ledger.samples.append(Sample(fleet.now, fleet.visible(), fleet.in_flight, fleet.desired, in_service))
        if fleet.is_done and all(part.is_settled for part in self._parts):
            fleet.finish()
        else:
            fleet.at(fleet.now + self._every_s, self._look)
