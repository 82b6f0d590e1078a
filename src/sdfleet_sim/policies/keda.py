"""KEDA and the horizontal pod autoscaler on the EKS guidance's settings, one GPU node a pod.

The first pod follows KEDA's polling, all others the autoscaler's own rhythm: pods = messages / queueLength, grown by
4 or by 100 % at a time. Messages in flight count, as in KEDA's SQS scaler. A pod that goes finishes what it can within
its grace. Nodes boot as quickly as ours, which leaves Karpenter's own time out.
"""

from __future__ import annotations

import math
from collections import deque

from sdfleet_sim.fleet import Fleet


class Keda:
    def __init__(self, fleet: Fleet, *, polling_s: float) -> None:
        self._fleet = fleet
        self._polling_s = polling_s
        self._active_at = -math.inf
        #: Wishes within the stabilisation window: when, and how many.
        self._wishes: deque[tuple[float, int]] = deque()

    @property
    def is_settled(self) -> bool:
        return self._fleet.desired <= self._fleet.plan.limits.least

    def start(self) -> None:
        # Its clock and the first task's know nothing of each other.
        self._fleet.at(self._polling_s * 0.5, self._poll)
        self._fleet.at(self._fleet.assumed.keda.sync_s * 0.5, self._sync)

    def _poll(self, _: None) -> None:
        fleet, keda = self._fleet, self._fleet.assumed.keda
        fleet.at(fleet.now + self._polling_s, self._poll)
        if self._messages():
            self._active_at = fleet.now
            if fleet.desired == 0:
                fleet.set_desired(max(1, fleet.plan.limits.least))
        elif fleet.desired > fleet.plan.limits.least and fleet.now - self._active_at >= keda.cooldown_s:
            self._shrink(fleet.plan.limits.least)

    def _sync(self, _: None) -> None:
        fleet, keda = self._fleet, self._fleet.assumed.keda
        fleet.at(fleet.now + keda.sync_s, self._sync)
        if fleet.desired == 0:
            return
        limits = fleet.plan.limits
        wish = min(limits.greatest, max(1, limits.least, math.ceil(self._messages() / keda.queue_length)))
        self._wishes.append((fleet.now, wish))
        while self._wishes[0][0] <= fleet.now - keda.stabilisation_s:
            self._wishes.popleft()
        if wish > fleet.desired:
            growth = max(int(keda.growth_pods), fleet.desired)
            fleet.set_desired(min(wish, fleet.desired + growth))
            return
        stable = max(one for _, one in self._wishes)
        if stable < fleet.desired:
            self._shrink(stable)

    def _messages(self) -> int:
        return self._fleet.visible() + self._fleet.in_flight

    def _shrink(self, wanted: int) -> None:
        """The youngest go first, busy or not."""
        fleet = self._fleet
        fleet.set_desired(wanted)
        surplus = sorted(fleet.there(), key=lambda one: -one.ordered_at)
        for one in surplus[: max(0, len(surplus) - wanted)]:
            fleet.interrupt(one, left_s=fleet.assumed.keda.grace_s)
