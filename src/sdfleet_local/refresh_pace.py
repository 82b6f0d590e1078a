"""How fast an instance refresh may replace: arithmetic over what is in the group.

Sources: Auto Scaling API reference, RefreshPreferences ("API"); User Guide, "How an instance refresh works" ("Guide")
and "Add checkpoints to an instance refresh" ("Checkpoints").
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdfleet_local.scaling_templates import Template


@dataclass(frozen=True)
class PoolInstance:
    """An instance that stays, as a refresh sees it."""

    instance_id: str
    template: Template
    #: None: it is still pending.
    in_service_since: datetime | None
    is_protected: bool = False
    is_standby: bool = False

    def is_ready(self, now: datetime, warmup: timedelta) -> bool:
        """Guide, Instance warmup: from InService to the end of the warm-up it does not count yet."""
        return self.in_service_since is not None and now - self.in_service_since >= warmup


@dataclass(frozen=True)
class Pool:
    """A group at one moment."""

    desired: int
    #: Those that stay, oldest first.
    instances: tuple[PoolInstance, ...]
    #: Launches and terminations in flight.
    transitioning: int = 0
    #: What the instance that died at boot last said, and when; it may have been another release's.
    last_words: str = ""
    died_at: datetime | None = None


@dataclass(frozen=True)
class Steps:
    """What a refresh asks of its group."""

    terminate: tuple[str, ...] = ()
    #: Instances above the desired capacity.
    surplus: int = 0


@dataclass(frozen=True)
class Bounds:
    """Between what the group's capacity may be while instances are replaced."""

    #: In service and ready.
    floor: int
    #: In service or pending.
    ceiling: int


def bounds(desired: int, min_healthy: int, max_healthy: int | None) -> Bounds:
    """The floor is rounded up (API, of 2023), so the ceiling is rounded down."""
    floor = math.ceil(desired * min_healthy / 100)
    if max_healthy is None:
        # API: "When MaxHealthyPercentage is omitted, Auto Scaling terminates an instance and launches its replacement
        # simultaneously." One at a time at 100 % (API, of 2023).
        return Bounds(min(floor, desired - 1), desired)
    ceiling = max(desired, desired * max_healthy // 100)
    if ceiling == desired and floor == desired:
        # API: "When MaxHealthyPercentage is explicitly set and it is mathematically impossible to replace instances
        # [...] launches a new instance before terminating an old one (temporarily exceeding the desired capacity)."
        ceiling += 1
    return Bounds(floor, ceiling)


@dataclass(frozen=True)
class Progress:
    """Of a refresh, at one moment."""

    #: Instances that should be new in the end.
    total: int
    #: New, in service and warm.
    updated: int
    #: That are to go and have not gone.
    olds: tuple[PoolInstance, ...]

    @property
    def percentage(self) -> int:
        """API, PercentageComplete: healthy and warm ones count. Checkpoints: "equal to or higher", so rounded down."""
        return 100 if self.total <= 0 else min(100, 100 * self.updated // self.total)

    @property
    def to_update(self) -> int:
        return max(0, self.total - self.updated)

    def has_reached(self, percentage: int) -> bool:
        goal = self.goal(percentage)
        return self.updated >= goal and len(self.olds) <= self.total - goal

    def goal(self, percentage: int) -> int:
        """Checkpoints: "the minimum percentage of instances in the group that must be new"."""
        return math.ceil(self.total * percentage / 100)


def progress(pool: Pool, old_ids: Set[str], spared_ids: Set[str], *, warmup: timedelta, now: datetime) -> Progress:
    """`spared_ids`: olds that the preferences say to leave alone."""
    serving = [one for one in pool.instances if not one.is_standby]
    news = [one for one in serving if one.instance_id not in old_ids]
    olds = tuple(one for one in serving if one.instance_id in old_ids and one.instance_id not in spared_ids)
    spared = sum(one.instance_id in spared_ids for one in serving)
    total = max(0, pool.desired - spared)
    return Progress(total, min(total, sum(one.is_ready(now, warmup) for one in news)), olds)


def next_steps(
    pool: Pool,
    state: Progress,
    percentage: int,
    limits: Bounds,
    *,
    held_ids: Set[str],
    warmup: timedelta,
    now: datetime,
) -> Steps:
    """Towards `percentage`, within `limits`; `held_ids` are olds that cannot be terminated now."""
    goal = state.goal(percentage)
    old_ids = {one.instance_id for one in state.olds}
    serving = [one for one in pool.instances if not one.is_standby]
    healthy = sum(
        one.in_service_since is not None if one.instance_id in old_ids else one.is_ready(now, warmup) for one in serving
    )
    to_go = len(state.olds) - (state.total - goal)
    leaving: list[str] = []
    # Those that never came into service cost no capacity; then the oldest.
    for one in sorted(state.olds, key=lambda one: one.in_service_since is not None):
        cost = int(one.in_service_since is not None)
        if len(leaving) >= to_go:
            break
        if one.instance_id in held_ids or (cost and healthy - cost < limits.floor):
            continue
        leaving.append(one.instance_id)
        healthy -= cost
    staying = len(serving) - len(leaving)
    spared = pool.desired - state.total
    news = len(serving) - len(state.olds) - spared
    wanted = max(0, goal - news)
    return Steps(tuple(leaving), max(0, min(limits.ceiling - pool.desired, staying - pool.desired + wanted)))
