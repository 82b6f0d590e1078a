"""The floor that a small fleet gets for a rollout, and what else hangs on a rollout's phase."""

from __future__ import annotations

from datetime import timedelta

from rollout_observations import BAKE, FORMER, NOW, TARGET, seen, started
from sdfleet.domain.instance_refresh import (
    Action,
    EndTrial,
    Observed,
    Refresh,
    RefreshStatus,
    SetMinimum,
    StartRefresh,
    TrialWatch,
)
from sdfleet.domain.rollout import (
    Phase,
    Rollout,
    Wish,
    is_baking,
)
from sdfleet.domain.rollout_machine import (
    FLOOR_PATIENCE,
    plan_start,
    reconcile,
)


def with_floor(floor: int = 2) -> tuple[Rollout, tuple[Action, ...]]:
    wish = Wish(50, BAKE, floor=floor)
    return plan_start(None, rollout_id="r1", runtime="sd", former=FORMER, target=TARGET, wish=wish, now=NOW)


def looked(
    rollout: Rollout, *refreshes: Refresh, after: timedelta, minimum: int, in_service: int
) -> tuple[Rollout, tuple[Action, ...]]:
    observed = Observed(NOW + after, refreshes, minimum, in_service, TrialWatch.NONE)
    return reconcile(rollout, observed, now=NOW + after)


MINUTE = timedelta(minutes=1)


def test_a_floor_is_raised_before_anything_is_replaced() -> None:
    rollout, actions = with_floor()
    assert actions == (SetMinimum(2),)

    rollout, actions = looked(rollout, after=MINUTE, minimum=2, in_service=1)
    assert (rollout.phase, actions) == (Phase.REQUESTED, ())

    rollout, actions = looked(rollout, after=2 * MINUTE, minimum=2, in_service=2)
    assert [type(action) for action in actions] == [StartRefresh]


def test_a_floor_whose_raising_was_lost_is_asked_for_again() -> None:
    rollout, _ = with_floor()
    assert looked(rollout, after=MINUTE, minimum=0, in_service=5)[1] == (SetMinimum(2),)


def test_a_floor_that_nobody_can_launch_ends_the_rollout_before_it_began() -> None:
    rollout, _ = with_floor()
    rollout, actions = looked(rollout, after=FLOOR_PATIENCE, minimum=2, in_service=1)
    assert (rollout.phase, actions) == (Phase.ROLLED_BACK, (EndTrial(),))
    assert "floor of 2 was not in service within 30 minutes" in str(rollout.reason)


def test_the_end_gives_the_floor_back_until_that_is_seen() -> None:
    rollout, _ = with_floor()
    done = Refresh("refresh-1", RefreshStatus.SUCCESSFUL, "4", NOW + MINUTE, 100)
    rollout, _ = looked(rollout, done, after=5 * MINUTE, minimum=2, in_service=2)
    assert (rollout.phase, rollout.former_minimum) == (Phase.SUCCEEDED, 0)

    for minute in (6, 7):
        rollout, actions = looked(rollout, done, after=minute * MINUTE, minimum=2, in_service=2)
        assert actions == (SetMinimum(0),)
    rollout, actions = looked(rollout, done, after=8 * MINUTE, minimum=0, in_service=2)
    assert (rollout.former_minimum, actions) == (None, ())


def test_a_minimum_that_somebody_has_set_meanwhile_is_left_alone() -> None:
    rollout, _ = with_floor()
    done = Refresh("refresh-1", RefreshStatus.SUCCESSFUL, "4", NOW + MINUTE, 100)
    rollout, _ = looked(rollout, done, after=5 * MINUTE, minimum=2, in_service=2)
    assert looked(rollout, done, after=6 * MINUTE, minimum=3, in_service=3)[1] == ()


def test_a_fleet_that_is_large_enough_needs_no_floor() -> None:
    wish = Wish(20, BAKE, floor=2)
    rollout, actions = plan_start(
        None, rollout_id="r1", runtime="sd", former=FORMER, target=TARGET, wish=wish, now=NOW, minimum=2
    )
    assert rollout.former_minimum is None
    assert [type(action) for action in actions] == [StartRefresh]


def test_a_fleet_does_not_grow_while_what_was_replaced_is_watched() -> None:
    rollout, _ = started()
    canary, _ = seen(rollout, RefreshStatus.IN_PROGRESS, 20)
    baking, _ = seen(rollout, RefreshStatus.BAKING, 100)
    assert (is_baking(None), is_baking(rollout), is_baking(canary), is_baking(baking)) == (False, False, True, True)
