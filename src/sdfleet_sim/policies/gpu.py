"""Target tracking of the fleet's mean GPU utilisation, as `scaling.gpuUtilisationTarget` puts it into the template.

It only grows; from zero, and down, the alarms on the queue lead.
"""

from __future__ import annotations

import math

from sdfleet.domain import scaling
from sdfleet_sim.fleet import Fleet
from sdfleet_sim.policies.alarms import QueueMinute, StepPolicies, warming


class GpuUtilisation(StepPolicies):
    """The alarms without the table, and target tracking in its place."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._busy_s = 0.0
        self._high = 0

    def grow(self, seen: QueueMinute) -> None:
        fleet = self.fleet
        if scaling.wakes(capacity=fleet.desired, visible=seen.visible):
            fleet.set_desired(scaling.WAKE_CAPACITY)
            return
        target = fleet.assumed.gpu_utilisation.target / 100
        used = self._utilisation()
        self._high = self._high + 1 if used > target else 0
        if self._high < fleet.assumed.gpu_utilisation.datapoints or warming(fleet):
            return
        self._high = 0
        wanted = min(fleet.plan.limits.greatest, math.ceil(fleet.desired * used / target))
        if wanted > fleet.desired:
            fleet.set_desired(wanted)

    def _utilisation(self) -> float:
        """Mean of the minute since the last look, of instances in service."""
        fleet = self.fleet
        total = fleet.ledger.busy_s + sum(
            one.busy_s + (fleet.now - one.began_at if one.task >= 0 else 0.0) for one in fleet.instances.values()
        )
        used, self._busy_s = total - self._busy_s, total
        in_service = sum(1 for one in fleet.instances.values() if one.ready_at >= 0)
        return min(1.0, used / (in_service * fleet.assumed.cloudwatch.period_s)) if in_service else 0.0
