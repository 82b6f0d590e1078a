"""As many instances all the time as the scenario begins with."""

from __future__ import annotations

from sdfleet_sim.fleet import Fleet


class FixedFleet:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def is_settled(self) -> bool:
        return True

    def start(self) -> None:
        self._fleet.set_desired(self._fleet.plan.initial)
