"""Auto Scaling groups of a deployment, as its commands see them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

POLL = timedelta(seconds=5)


@dataclass(frozen=True)
class Group:
    name: str
    desired: int
    maximum: int
    #: Instances by their lifecycle state, those that start or end included.
    states: dict[str, int]

    @property
    def instances(self) -> int:
        return sum(self.states.values())


class FleetGroups:
    """Every call may raise DeploymentError."""

    def __init__(self, client: AutoScalingClient, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._pause = pause

    def find(self, name: str) -> Group | None:
        with explained():
            answer = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        for one in answer["AutoScalingGroups"]:
            states: dict[str, int] = {}
            for instance in one.get("Instances", ()):
                state = str(instance["LifecycleState"])
                states[state] = states.get(state, 0) + 1
            return Group(name, one["DesiredCapacity"], one["MaxSize"], states)
        return None

    def empty(self, name: str, *, patience: timedelta, on_wait: Callable[[int], None]) -> bool:
        """Let nothing start any more and every instance drain; False: some still were there after `patience`.

        The maximum becomes 0 too, or the scaler would start new ones.
        """
        if self.find(name) is None:
            return True
        with explained():
            self._client.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
        waited = timedelta()
        while (group := self.find(name)) is not None and group.instances:
            if waited >= patience:
                return False
            on_wait(group.instances)
            self._pause(POLL.total_seconds())
            waited += POLL
        return True
