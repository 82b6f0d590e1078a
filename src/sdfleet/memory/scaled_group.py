"""A group that has what it was asked for: instances come when `launch` is called, and go when they are removed."""

from __future__ import annotations

from dataclasses import replace

from sdfleet.domain.scaling import Limits
from sdfleet.errors import ServiceUnavailable
from sdfleet.fleet_ports import GroupInstance, GroupState


class MemoryScaledGroup:
    def __init__(self, *, limits: Limits, desired: int = 0, template_version: str = "1") -> None:
        self.state = GroupState(desired=desired, limits=limits, template_version=template_version)
        #: Every capacity that was asked for, oldest first.
        self.asked: list[int] = []
        self.removed: list[str] = []

    def look(self) -> GroupState:
        return self.state

    def raise_to(self, desired: int) -> None:
        self.asked.append(desired)
        self.state = replace(self.state, desired=desired)

    def remove(self, instance_id: str) -> None:
        if self.state.desired <= self.state.limits.least:
            raise ServiceUnavailable("The group is at its minimum.")
        self.removed.append(instance_id)
        staying = tuple(one for one in self.state.instances if one.instance_id != instance_id)
        self.state = replace(self.state, desired=self.state.desired - 1, instances=staying)

    def set_on_demand_base(self, count: int) -> None:
        self.state = replace(self.state, on_demand_base=count)

    def suspend_alarms(self) -> None:
        self.state = replace(self.state, is_suspended=True)

    def resume_alarms(self) -> None:
        self.state = replace(self.state, is_suspended=False)

    # What Auto Scaling and EC2 do by themselves.

    def launch(self, instance_id: str, *, in_service: bool = False) -> None:
        launched = GroupInstance(instance_id, in_service, self.state.template_version)
        others = tuple(one for one in self.state.instances if one.instance_id != instance_id)
        self.state = replace(self.state, instances=(*others, launched))

    def lose(self, instance_id: str) -> None:
        staying = tuple(one for one in self.state.instances if one.instance_id != instance_id)
        self.state = replace(self.state, instances=staying)


class MemorySchedule:
    def __init__(self) -> None:
        self.is_on = False

    def switch_on(self) -> None:
        self.is_on = True

    def switch_off(self) -> None:
        self.is_on = False
