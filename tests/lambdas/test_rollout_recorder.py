"""What an event of Auto Scaling, or the minute's schedule, sets going."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from builders import NOON
from rollout_fleet import Group
from sdfleet.domain.instance_refresh import Observed
from sdfleet.domain.release import Release
from sdfleet.domain.rollout import Wish
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet.memory.rollouts import MemoryRollouts
from sdfleet_lambdas.rollout_recorder import handle
from sdfleet_lambdas.rollouts import FleetRollouts

#: Of the documentation (EC2 Auto Scaling User Guide, "Instance refresh events").
CHECKPOINT: dict[str, Any] = {
    "source": "aws.autoscaling",
    "detail-type": "EC2 Auto Scaling Instance Refresh Checkpoint Reached",
    "detail": {"InstanceRefreshId": "refresh-1", "AutoScalingGroupName": "sd", "CheckpointPercentage": "20"},
}


def fleet(runtime: str, group: Group) -> FleetRollouts:
    releases = MemoryReleaseStore()
    releases.write(runtime, "image-version", "1.0.0")
    releases.write(
        runtime, "releases/1.1.0", json.dumps(Release("1.1.0", NOON, "ada", "scheduler@sha256:ab").to_json())
    )
    return FleetRollouts(runtime, MemoryRollouts(), group, releases, FakeClock(NOON), lambda: "rollout-1")


def test_an_event_has_every_fleet_looked_at() -> None:
    sd, comfy = fleet("sd", Group(NOON)), fleet("comfy", Group(NOON))
    sd.start("1.1.0", Wish(20, timedelta(minutes=1)))
    group = sd.group
    assert isinstance(group, Group)
    group.tick(is_alarmed=False)
    group.tick(is_alarmed=False)

    assert handle(CHECKPOINT, (sd, comfy)) == {"sd": "canary-baking"}


def test_a_fleet_that_cannot_be_seen_does_not_stop_the_others() -> None:
    class Unseen(Group):
        def observed(self) -> Observed:
            raise ServiceUnavailable

    unseen, seen = fleet("sd", Unseen(NOON)), fleet("comfy", Group(NOON))
    for one in (unseen, seen):
        one.start("1.1.0", Wish(20, timedelta(minutes=1)))
    group = seen.group
    assert isinstance(group, Group)
    group.tick(is_alarmed=False)

    assert handle({}, (unseen, seen)) == {"comfy": "canary"}
