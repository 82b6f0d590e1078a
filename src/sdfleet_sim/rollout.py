"""An instance refresh `[canary, 100]` under load: new instances first, then the old ones end their task and leave."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sdfleet.domain.fleet_observation import RolloutStage
from sdfleet_sim.fleet import Fleet
from sdfleet_sim.policies.base import Policy
from sdfleet_sim.policies.fast import FastScaler
from sdfleet_sim.scenario import RolloutPlan

#: How often the group looks whether it may go on.
_STEP_S = 5.0


class Rollout:
    def __init__(self, fleet: Fleet, plan: RolloutPlan, policies: Sequence[Policy]) -> None:
        self._fleet = fleet
        self._plan = plan
        self._scalers = [policy for policy in policies if isinstance(policy, FastScaler)]
        self._canary_until: float | None = None
        self._surge = 0
        self._is_over = False
        self.began_at = math.inf
        self.ended_at = math.inf

    @property
    def is_settled(self) -> bool:
        return self._is_over

    def start(self) -> None:
        self._fleet.at(self._plan.start_s, self._begin)

    def _begin(self, _: None) -> None:
        self.began_at = self._fleet.now
        self._fleet.launches_new_release = True
        self._stage(RolloutStage.MOVING)
        self._go_on(None)

    def _go_on(self, _: None) -> None:
        fleet = self._fleet
        old = [one for one in fleet.there() if not one.is_new_release]
        new = [one for one in fleet.there() if one.is_new_release]
        if not old:
            self._finish()
            return
        canary = math.ceil(fleet.desired * self._plan.canary_percent / 100)
        is_canary_due = self._canary_until is None
        share = canary if is_canary_due else fleet.desired
        in_service = sum(1 for one in new if one.ready_at >= 0)
        if is_canary_due and in_service >= canary:
            self._canary_until = fleet.now + self._plan.bake_s
            self._stage(RolloutStage.BAKING)
        if self._canary_until is not None and fleet.now >= self._canary_until:
            self._stage(RolloutStage.MOVING)
        if is_canary_due or (self._canary_until is not None and fleet.now >= self._canary_until):
            self._replace(len(old), len(new), in_service, share)
        fleet.at(fleet.now + _STEP_S, self._go_on)

    def _replace(self, old: int, new: int, in_service: int, share: int) -> None:
        """Launch some above the capacity; for each in service an old one leaves."""
        fleet = self._fleet
        surge = max(1, math.ceil(fleet.desired * self._plan.surge_percent / 100))
        room = fleet.desired + surge - old - new
        fleet.launch_above(max(0, min(room, share - new)))
        leaving = min(old, old + in_service - fleet.desired)
        candidates = sorted((one for one in fleet.there() if not one.is_new_release), key=lambda one: one.ordered_at)
        for one in candidates[: max(0, leaving)]:
            fleet.end(one)

    def _stage(self, stage: RolloutStage) -> None:
        for scaler in self._scalers:
            scaler.stage = stage

    def _finish(self) -> None:
        self._stage(RolloutStage.NONE)
        self.ended_at = self._fleet.now
        self._is_over = True
