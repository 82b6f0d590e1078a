"""The rollout's state machine, against a group that does what Auto Scaling's documentation says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_fleet import Group
from rollout_observations import BAKE, FORMER, NOW, TARGET, seen, started
from sdfleet.domain.instance_refresh import (
    CancelRefresh,
    EndTrial,
    Observed,
    RefreshStatus,
    RollBackRefresh,
    StartRefresh,
    TrialWatch,
)
from sdfleet.domain.rollout import (
    LONGEST_HOLD,
    DeploymentStatus,
    Phase,
    Target,
    Wish,
    canary_size,
    face,
)
from sdfleet.domain.rollout_machine import (
    LONGEST_BAKE,
    plan_promote,
    plan_rollback,
    plan_start,
    reconcile,
)
from sdfleet.errors import DeploymentRefused


def test_a_rollout_starts_with_a_checkpoint_at_its_percentage_and_goes_on_to_the_whole_fleet() -> None:
    _, actions = started(20)

    assert actions == (StartRefresh("4", (20, 100), BAKE, BAKE, auto_rollback=True, release="1.1.0"),)


def test_a_hundred_percent_has_no_checkpoint_before_its_end() -> None:
    _, (action,) = started(100)

    assert isinstance(action, StartRefresh)
    assert action.checkpoints == (100,)


def test_a_held_canary_waits_as_long_as_auto_scaling_can() -> None:
    _, (action,) = started(hold=True)

    assert isinstance(action, StartRefresh)
    assert action.checkpoint_delay == LONGEST_BAKE


@pytest.mark.parametrize(
    ("percentage", "capacity", "size"), [(20, 5, 1), (20, 1, 1), (20, 2, 1), (50, 5, 3), (100, 4, 4), (20, 0, 0)]
)
def test_a_canary_is_rounded_up_to_whole_instances(percentage: int, capacity: int, size: int) -> None:
    assert canary_size(percentage, capacity) == size


def test_the_phases_follow_the_refresh() -> None:
    rollout, _ = started()
    phases = []
    for status, percentage, minute in (
        (RefreshStatus.PENDING, 0, 1),
        (RefreshStatus.IN_PROGRESS, 0, 2),
        (RefreshStatus.IN_PROGRESS, 20, 6),
        (RefreshStatus.IN_PROGRESS, 20, 22),
        (RefreshStatus.IN_PROGRESS, 60, 24),
        (RefreshStatus.BAKING, 100, 30),
        (RefreshStatus.SUCCESSFUL, 100, 45),
    ):
        rollout, actions = seen(rollout, status, percentage, after=timedelta(minutes=minute))
        assert actions == ((EndTrial(),) if rollout.is_over else ())
        phases.append(rollout.phase)

    assert phases == [
        Phase.CANARY,
        Phase.CANARY,
        Phase.CANARY_BAKING,
        Phase.ROLLING,
        Phase.ROLLING,
        Phase.BAKING,
        Phase.SUCCEEDED,
    ]


def test_a_canary_of_whole_instances_bakes_although_it_is_more_than_was_wished() -> None:
    rollout, _ = started(20)
    phases = []
    for percentage, minute in ((0, 1), (33, 3), (33, 10), (66, 22)):
        rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, percentage, after=timedelta(minutes=minute))
        phases.append(rollout.phase)

    assert phases == [Phase.CANARY, Phase.CANARY_BAKING, Phase.CANARY_BAKING, Phase.ROLLING]


def test_a_canary_bakes_on_when_what_replaces_a_lost_instance_is_new_too() -> None:
    rollout, _ = started(20)
    phases = []
    for percentage, minute in ((20, 3), (40, 8), (40, 16), (60, 19)):
        rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, percentage, after=timedelta(minutes=minute))
        phases.append(rollout.phase)

    assert phases == [Phase.CANARY_BAKING, Phase.CANARY_BAKING, Phase.CANARY_BAKING, Phase.ROLLING]


@pytest.mark.parametrize("percentage", [40, 100])
def test_a_held_canary_is_held_whatever_is_lost_beside_it(percentage: int) -> None:
    rollout, _ = started(20, hold=True)
    rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, 20)
    rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, percentage, after=timedelta(hours=3))
    assert (rollout.phase, rollout.is_promotable) == (Phase.HELD, True)

    _, actions = seen(rollout, RefreshStatus.IN_PROGRESS, percentage, after=LONGEST_HOLD + timedelta(minutes=6))
    assert actions == (RollBackRefresh(),)


def test_a_rollback_behind_a_promotion_takes_the_canary_back_too() -> None:
    rollout, _ = started(hold=True)
    rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, 20)
    rollout, _ = plan_promote(rollout, reason="ada")
    rollout, _ = seen(rollout, RefreshStatus.CANCELLED, 20, after=timedelta(minutes=7))
    rollout, (action,) = seen(
        rollout, RefreshStatus.ROLLBACK_SUCCESSFUL, 60, after=timedelta(minutes=9), refresh_id="refresh-2"
    )

    assert isinstance(action, StartRefresh)
    assert (action.template_version, rollout.phase) == ("3", Phase.ROLLING_BACK)


def test_only_a_success_moves_the_image_version() -> None:
    rollout, _ = started()
    under_way = face(rollout, previous_version="0.9.0")
    succeeded = face(seen(rollout, RefreshStatus.SUCCESSFUL, 100)[0], previous_version="0.9.0")

    assert (under_way.image_version, under_way.previous_version) == ("1.0.0", "0.9.0")
    assert under_way.deployment_status is DeploymentStatus.IN_PROGRESS
    assert (succeeded.image_version, succeeded.previous_version) == ("1.1.0", "1.0.0")
    assert succeeded.deployment_status is DeploymentStatus.STABLE


def test_an_alarm_turns_the_rollout_back_by_auto_scalings_own_means() -> None:
    rollout, _ = started()
    rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, 20)
    rollout, actions = seen(
        rollout, RefreshStatus.ROLLBACK_IN_PROGRESS, 20, after=timedelta(minutes=6), reason="alarm sd-failures"
    )

    assert (rollout.phase, rollout.reason, actions) == (Phase.ROLLING_BACK, "alarm sd-failures", ())
    assert face(rollout, previous_version=None).deployment_status is DeploymentStatus.ROLLING_BACK
    rollout, _ = seen(rollout, RefreshStatus.ROLLBACK_SUCCESSFUL, 100, after=timedelta(minutes=9))
    assert rollout.phase is Phase.ROLLED_BACK
    assert face(rollout, previous_version=None).deployment_status is DeploymentStatus.STABLE


def test_a_refresh_that_failed_in_the_middle_is_followed_by_one_back() -> None:
    rollout, _ = started()
    rollout, (action,) = seen(rollout, RefreshStatus.FAILED, 40, reason="instances failed to launch")

    assert isinstance(action, StartRefresh)
    assert (action.template_version, action.auto_rollback) == ("3", False)
    rollout, actions = seen(
        rollout, RefreshStatus.SUCCESSFUL, 100, after=timedelta(minutes=9), template="3", refresh_id="refresh-2"
    )
    assert (rollout.phase, rollout.reason) == (Phase.ROLLED_BACK, "instances failed to launch")
    assert actions == (EndTrial(),)


def test_a_way_back_that_fails_is_left_to_a_person() -> None:
    rollout, _ = started()
    rollout, _ = seen(rollout, RefreshStatus.ROLLBACK_FAILED, 40, reason="no capacity")
    rollout, actions = seen(
        rollout, RefreshStatus.FAILED, 10, after=timedelta(minutes=9), template="3", refresh_id="refresh-2"
    )

    assert (rollout.phase, actions) == (Phase.FAILED, (EndTrial(),))
    assert rollout.reason is not None
    assert "no capacity" in rollout.reason


def test_a_refresh_that_somebody_else_cancels_is_rolled_back() -> None:
    rollout, _ = started()
    rollout, (action,) = seen(rollout, RefreshStatus.CANCELLED, 20)

    assert isinstance(action, StartRefresh)
    assert action.template_version == "3"


def test_a_promotion_cancels_the_refresh_and_starts_one_over_the_rest() -> None:
    rollout, _ = started(hold=True)
    rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, 20)
    assert rollout.phase is Phase.HELD
    rollout, actions = plan_promote(rollout, reason="ada")
    assert actions == (CancelRefresh(),)
    rollout, actions = seen(rollout, RefreshStatus.CANCELLING, 20, after=timedelta(minutes=6))
    assert actions == ()
    rollout, (action,) = seen(rollout, RefreshStatus.CANCELLED, 20, after=timedelta(minutes=7))
    assert isinstance(action, StartRefresh)
    assert (action.template_version, action.checkpoints) == ("4", (100,))
    rollout, _ = seen(rollout, RefreshStatus.SUCCESSFUL, 100, after=timedelta(minutes=20), refresh_id="refresh-2")
    assert rollout.phase is Phase.SUCCEEDED


def test_only_a_finished_canary_can_be_promoted() -> None:
    rollout, _ = started()

    with pytest.raises(DeploymentRefused, match="only a finished canary"):
        plan_promote(rollout, reason="ada")


def test_a_held_canary_that_nobody_promotes_is_rolled_back_before_auto_scaling_goes_on() -> None:
    rollout, _ = started(hold=True)
    rollout, _ = seen(rollout, RefreshStatus.IN_PROGRESS, 20)
    rollout, actions = seen(rollout, RefreshStatus.IN_PROGRESS, 20, after=LONGEST_HOLD + timedelta(minutes=6))

    assert (rollout.phase, actions) == (Phase.ROLLING_BACK, (RollBackRefresh(),))


def test_a_second_rollout_is_refused_while_one_is_under_way() -> None:
    rollout, _ = started()

    with pytest.raises(DeploymentRefused, match="under way"):
        plan_start(
            rollout,
            rollout_id="r2",
            runtime="sd",
            former=FORMER,
            target=Target("1.2.0", "5"),
            wish=Wish(20, BAKE),
            now=NOW,
        )


def test_a_rollout_to_what_runs_already_is_refused() -> None:
    with pytest.raises(DeploymentRefused, match=r"runs 1\.0\.0 already"):
        plan_start(None, rollout_id="r", runtime="sd", former=FORMER, target=FORMER, wish=Wish(20, BAKE), now=NOW)


@pytest.mark.parametrize(
    "wish", [Wish(0, BAKE), Wish(101, BAKE), Wish(20, timedelta(hours=49)), Wish(100, BAKE, hold=True)]
)
def test_a_wish_that_auto_scaling_cannot_fulfil_is_refused(wish: Wish) -> None:
    with pytest.raises(DeploymentRefused):
        plan_start(None, rollout_id="r", runtime="sd", former=FORMER, target=TARGET, wish=wish, now=NOW)


def test_an_older_observation_changes_nothing() -> None:
    rollout, _ = started()
    rollout, _ = seen(rollout, RefreshStatus.BAKING, 100)

    assert seen(rollout, RefreshStatus.IN_PROGRESS, 0, after=timedelta(minutes=1)) == (rollout, ())


def test_a_rollout_taken_back_before_its_refresh_was_ever_seen_is_over() -> None:
    rollout, _ = started()
    rollout, _ = plan_rollback(rollout, reason="ada")
    later = NOW + timedelta(minutes=2)
    rollout, actions = reconcile(rollout, Observed(later, ()), now=later)

    assert (rollout.phase, actions) == (Phase.ROLLED_BACK, (EndTrial(),))


STEPS = st.lists(
    st.one_of(
        st.sampled_from(
            ["tick", "tick", "tick", "alarm", "see", "see", "crash", "promote", "roll back", "console", "rob"]
        ),
        st.integers(0, 30),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, hold=st.booleans(), percentage=st.sampled_from([20, 40, 100]))
def test_whatever_is_lost_repeated_or_reordered_the_record_ends_where_the_fleet_is(
    steps: list[str | int], hold: bool, percentage: int
) -> None:
    group = Group(NOW)
    rollout, actions = started(percentage, hold=hold and percentage < 100)
    observations = [group.observed()]

    def learn(observed: Observed, *, is_carried_out: bool) -> None:
        nonlocal rollout
        was_over = rollout.is_over
        former = rollout
        rollout, wanted = reconcile(rollout, observed, now=group.now)
        assert not was_over or replace(rollout, leaves_alarms=former.leaves_alarms) == former
        for action in wanted if is_carried_out else ():
            group.carry_out(action)

    for action in actions:
        group.carry_out(action)
    for step in steps:
        if step in ("tick", "alarm"):
            group.tick(is_alarmed=step == "alarm")
            observations.append(group.observed())
        elif step in ("see", "crash"):
            learn(group.observed(), is_carried_out=step == "see")
        elif step == "rob":
            group.rob()
        elif step == "console":
            group.carry_out(CancelRefresh())
        elif step == "promote" and rollout.phase in (Phase.CANARY_BAKING, Phase.HELD) and rollout.reason is None:
            rollout, _ = plan_promote(rollout, reason="ada")
        elif step == "roll back" and not rollout.is_over:
            rollout, _ = plan_rollback(rollout, reason="ada")
        elif isinstance(step, int):
            learn(observations[step % len(observations)], is_carried_out=True)
    for _ in range(60):
        if rollout.is_settled:
            break
        # Nobody promotes it: two days pass.
        group.now += timedelta(hours=12 if rollout.phase is Phase.HELD else 0)
        group.tick(is_alarmed=False)
        learn(group.observed(), is_carried_out=True)

    assert rollout.is_settled
    assert (group.watch, group.unwatched) == (TrialWatch.NONE, [])
    if rollout.phase is Phase.FAILED:
        # A person cancelled the refresh, and then the way back too.
        assert steps.count("console") > 1
        return
    expected = {Phase.SUCCEEDED: {"4"}, Phase.ROLLED_BACK: {"3"}}
    assert rollout.phase in expected
    assert set(group.instances) == expected[rollout.phase]
    assert group.active is None
