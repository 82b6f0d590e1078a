"""A rollout as it starts, and what is seen of its fleet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sdfleet.domain.instance_refresh import (
    Action,
    Observed,
    Refresh,
    RefreshStatus,
)
from sdfleet.domain.rollout import (
    Rollout,
    Target,
    Wish,
)
from sdfleet.domain.rollout_machine import (
    plan_start,
    reconcile,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FORMER, TARGET = Target("1.0.0", "3"), Target("1.1.0", "4")
BAKE = timedelta(minutes=15)


def started(percentage: int = 20, *, hold: bool = False) -> tuple[Rollout, tuple[Action, ...]]:
    wish = Wish(percentage, BAKE, hold=hold, by="ada", why="a faster sampler")
    return plan_start(None, rollout_id="r1", runtime="sd", former=FORMER, target=TARGET, wish=wish, now=NOW)


def seen(
    rollout: Rollout,
    status: RefreshStatus,
    percentage: int = 0,
    *,
    after: timedelta = timedelta(minutes=5),
    template: str = "4",
    refresh_id: str = "refresh-1",
    reason: str | None = None,
) -> tuple[Rollout, tuple[Action, ...]]:
    begun = NOW + timedelta(seconds=len(rollout.past_refresh_ids) + 1)
    refresh = Refresh(refresh_id, status, template, begun, percentage, reason)
    return reconcile(rollout, Observed(NOW + after, (refresh,)), now=NOW + after)
