"""Step scaling as CloudWatch and Auto Scaling do it: the queue of a while ago, looked at each minute."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from sdfleet.domain import scaling
from sdfleet_sim.fleet import Fleet
from sdfleet_sim.instance import Instance


@dataclass(frozen=True)
class QueueMinute:
    """One datapoint."""

    visible: int
    in_flight: int


def warming(fleet: Fleet) -> int:
    """Instances that do not count in full yet: those ordered in vain are still to come."""
    warm_up_s = fleet.assumed.auto_scaling.warm_up_s
    there = fleet.there()
    ordered = max(0, fleet.desired - len(there))
    return ordered + sum(1 for one in there if _is_warming(one, fleet.now, warm_up_s))


def _is_warming(one: Instance, now: float, warm_up_s: float) -> bool:
    return one.ready_at < 0 or (one.ordered_at > 0 and now - one.ordered_at < warm_up_s)


class StepPolicies:
    """Scale-out by the table, wake from zero, scale-in when empty: the three alarms of the template."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        draw = random.Random(f"{fleet.scenario.seed}/alarms")
        cloudwatch = fleet.assumed.cloudwatch
        # Metrics and alarm run by clocks of their own; which, nobody chooses.
        drawn = draw.random() * cloudwatch.period_s
        self._phase_s = drawn if fleet.scenario.alarm_phase_s is None else fleet.scenario.alarm_phase_s
        self._delay_s = cloudwatch.publish_s + draw.random() * cloudwatch.evaluation_s
        self._empty_s = 0.0

    @property
    def is_settled(self) -> bool:
        return self.fleet.desired <= self.fleet.plan.limits.least

    def start(self) -> None:
        self.fleet.at(self._phase_s, self._measure)

    def _measure(self, _: None) -> None:
        fleet = self.fleet
        fleet.at(fleet.now + self._delay_s, self._look, QueueMinute(fleet.visible(), fleet.in_flight))
        fleet.at(fleet.now + fleet.assumed.cloudwatch.period_s, self._measure)

    def _look(self, seen: QueueMinute) -> None:
        fleet = self.fleet
        self.grow(seen)
        is_empty = scaling.is_empty(visible=seen.visible, in_flight=seen.in_flight)
        self._empty_s = self._empty_s + fleet.assumed.cloudwatch.period_s if is_empty else 0.0
        # The group blocks scale-in while instances warm up.
        if fleet.desired <= fleet.plan.limits.least or warming(fleet):
            return
        wanted = scaling.stepped_down(
            fleet.plan.limits,
            capacity=fleet.desired,
            visible=seen.visible,
            in_flight=seen.in_flight,
            empty_for=timedelta(seconds=self._empty_s),
            idle_after=timedelta(seconds=fleet.assumed.auto_scaling.idle_after_s),
        )
        if wanted < fleet.desired:
            shrink(fleet, wanted)

    def grow(self, seen: QueueMinute) -> None:
        fleet = self.fleet
        wanted = scaling.stepped_up(
            fleet.plan.steps,
            fleet.plan.limits,
            capacity=fleet.desired,
            visible=seen.visible,
            warming=min(fleet.desired, warming(fleet)),
        )
        if wanted > fleet.desired:
            fleet.set_desired(wanted)


def shrink(fleet: Fleet, wanted: int) -> None:
    """As the group does it: its oldest first, whatever they are doing; each ends its task before it goes."""
    fleet.set_desired(wanted)
    surplus = fleet.there()
    for one in sorted(surplus, key=lambda each: each.ordered_at)[: max(0, len(surplus) - wanted)]:
        fleet.end(one)
