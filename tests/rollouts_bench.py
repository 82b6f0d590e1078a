"""A fleet with releases to roll out, and what keeps its rollouts."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import timedelta

from builders import NOON
from rollout_fleet import Group
from sdfleet.domain.release import Release
from sdfleet.domain.rollout import Wish
from sdfleet.memory.boot_records import MemoryBootRecords
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet.memory.rollouts import MemoryRollouts
from sdfleet_lambdas.rollouts import FleetRollouts

WISH = Wish(20, timedelta(minutes=2), by="ada", why="a faster sampler")


@dataclass
class Fleet:
    """One fleet on 1.0.0, with 1.1.0 and 1.2.0 built."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))
    group: Group = field(default_factory=lambda: Group(NOON))
    releases: MemoryReleaseStore = field(default_factory=MemoryReleaseStore)
    store: MemoryRollouts = field(default_factory=MemoryRollouts)
    boots: MemoryBootRecords = field(default_factory=MemoryBootRecords)

    def __post_init__(self) -> None:
        ids = itertools.count(1)
        self.rollouts = FleetRollouts(
            "sd", self.store, self.group, self.releases, self.clock, lambda: f"rollout-{next(ids)}", self.boots
        )
        self.releases.write("sd", "image-version", "1.0.0")
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            release = Release(version, NOON, "ada", f"scheduler@sha256:{version}")
            self.releases.write("sd", f"releases/{version}", json.dumps(release.to_json()))

    def minutes(self, count: int, *, is_alarmed: bool = False) -> None:
        for _ in range(count):
            self.group.tick(is_alarmed=is_alarmed)
            self.clock.advance(timedelta(minutes=1))
            self.rollouts.reconcile()

    def shown(self) -> tuple[str | None, str | None, str | None]:
        return (
            self.releases.read("sd", "image-version"),
            self.releases.read("sd", "previous-version"),
            self.releases.read("sd", "deployment-status"),
        )


def fail_boots(fleet: Fleet, count: int, *, before: timedelta = timedelta(0)) -> None:
    for number in range(count):
        now = fleet.clock.now() - before
        fleet.boots.failed("sd", "1.1.0", instance_id=f"i-{number}", reason="no GPU driver", now=now)
