from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sdfleet.domain.fleet_decision import LOOK_EVERY, REST_LOOK, Market, Reason, decide
from sdfleet.domain.fleet_observation import (
    ComingInstance,
    IdleInstance,
    ManualSetting,
    Observed,
    RolloutStage,
    ScalerSettings,
    Surplus,
)
from sdfleet.domain.scaling import Limits

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
#: A task takes 10 s and a boot 60 s: an instance in service has 120 s for its share, a new one 60 s.
SETTINGS = ScalerSettings(assumed_task=10 * SECOND, assumed_boot=60 * SECOND)


def a_fleet(
    *,
    visible: int = 0,
    in_flight: int = 0,
    busy: int = 0,
    idle_for: tuple[timedelta, ...] = (),
    coming_for: tuple[timedelta, ...] = (),
    desired: int | None = None,
    least: int = 0,
    greatest: int = 20,
) -> Observed:
    return Observed(
        visible=visible,
        in_flight=in_flight,
        desired=busy + len(idle_for) + len(coming_for) if desired is None else desired,
        limits=Limits(least, greatest),
        busy=busy,
        idle=tuple(IdleInstance(f"i-idle{number}", NOON - since) for number, since in enumerate(idle_for)),
        coming=tuple(ComingInstance(f"i-coming{number}", NOON - since) for number, since in enumerate(coming_for)),
    )


def wanted(seen: Observed, settings: ScalerSettings = SETTINGS) -> int | None:
    return decide(seen, settings, NOON).desired


def test_a_message_wakes_a_fleet_at_zero() -> None:
    decision = decide(a_fleet(visible=1), SETTINGS, NOON)
    assert (decision.desired, decision.reason) == (1, Reason.WAKE)


def test_a_call_wakes_a_fleet_whose_queue_does_not_show_the_task_yet() -> None:
    assert wanted(replace(a_fleet(), is_called=True)) == 1


def test_a_call_adds_nothing_to_a_fleet_that_is_awake() -> None:
    assert wanted(replace(a_fleet(busy=1), is_called=True)) is None


def test_messages_of_an_instance_that_is_gone_wake_the_fleet_too() -> None:
    assert wanted(a_fleet(in_flight=1)) == 1


@pytest.mark.parametrize(
    ("seen", "capacity"),
    [
        # 30 tasks are 300 s of work; at 60 s each that is 5 new instances.
        (a_fleet(visible=30), 5),
        (a_fleet(visible=31), 6),
        # 1,000 s less the 2 x 120 s of those there: 760 s, 13 more.
        (a_fleet(visible=98, in_flight=2, busy=2), 15),
        # 240 s is what two have time for.
        (a_fleet(visible=22, in_flight=2, busy=2), None),
        (a_fleet(visible=23, in_flight=2, busy=2), 3),
        # Half booted it has 90 s of work in it, another 60 s: 150 s in all.
        (a_fleet(visible=15, coming_for=(30 * SECOND,), desired=2), None),
        (a_fleet(visible=16, coming_for=(30 * SECOND,), desired=2), 3),
        # What should be here by now counts in full, no more.
        (a_fleet(visible=12, coming_for=(600 * SECOND,)), None),
        (a_fleet(visible=13, coming_for=(600 * SECOND,)), 2),
        (a_fleet(visible=1000), 20),
    ],
)
def test_the_work_that_waits_becomes_instances(seen: Observed, capacity: int | None) -> None:
    assert wanted(seen) == capacity


def test_measured_seconds_take_the_place_of_assumed_ones() -> None:
    # 30 tasks of 2 s: one minute of one instance.
    assert wanted(replace(a_fleet(visible=30), task_s=2.0)) == 1
    # 25 tasks are 250 s; two instances and a boot of 20 s have 2 x 80 s, and 90 s are left for two.
    assert wanted(replace(a_fleet(visible=23, in_flight=2, busy=2), boot_s=20.0)) == 4


def test_instances_above_the_capacity_while_some_are_exchanged_raise_nothing() -> None:
    assert wanted(a_fleet(in_flight=10, busy=4, coming_for=(SECOND,), desired=4)) is None


def test_there_are_never_more_instances_than_tasks() -> None:
    assert wanted(replace(a_fleet(visible=3, in_flight=1, busy=1), task_s=600.0)) == 4


def test_what_surely_keeps_coming_is_work_too() -> None:
    # 2 a second for 120 s, and 10 that wait: 2,500 s, of which 20 have 2,400 s; two more do the rest.
    seen = replace(a_fleet(visible=10, busy=20, greatest=50), arrivals_per_s=2.0)
    assert wanted(seen) == 22


def test_a_fleet_at_its_maximum_stays_there_and_says_so() -> None:
    decision = decide(a_fleet(visible=1000, busy=5, greatest=5), SETTINGS, NOON)
    assert (decision.desired, decision.reason) == (None, Reason.AT_MAXIMUM)


def test_a_fleet_under_its_minimum_is_raised_to_it() -> None:
    assert wanted(a_fleet(least=2, desired=0)) == 2


def test_nothing_is_ended_that_an_operator_has_set_above_the_maximum() -> None:
    seen = a_fleet(visible=1000, busy=8, greatest=5)
    assert decide(seen, SETTINGS, NOON).desired is None


def test_surplus_instances_leave_after_a_minute_the_longest_idle_first() -> None:
    seen = a_fleet(visible=0, in_flight=1, busy=1, idle_for=(61 * SECOND, 30 * SECOND, 90 * SECOND))
    decision = decide(seen, SETTINGS, NOON)
    assert decision.remove == ("i-idle2", "i-idle0")
    assert decision.reason is Reason.IDLE


def under_steady_load(*, surplus: Surplus | None, in_flight: int = 8, idle: int = 10) -> Observed:
    """Of 20 instances those that are idle are so for a moment only; each takes a task in its turn."""
    seen = a_fleet(
        in_flight=in_flight, busy=20 - idle, idle_for=tuple(number * SECOND for number in range(1, idle + 1))
    )
    return replace(seen, surplus=surplus)


def had(least: int, *, since: timedelta, desired: int = 20, last: timedelta = 5 * SECOND) -> Surplus:
    return Surplus(NOON - since, least, desired, NOON - last)


def test_what_a_fleet_has_too_many_is_counted_with_a_quarter_to_spare() -> None:
    # 8 at work are 10 with what is spare; 20 less 10.
    assert decide(under_steady_load(surplus=None), SETTINGS, NOON).surplus == Surplus(NOON, 10, 20, NOON)
    # 9 are 11.25, so 12; 16 are all 20.
    assert decide(under_steady_load(surplus=None, in_flight=9), SETTINGS, NOON).surplus == Surplus(NOON, 8, 20, NOON)
    assert decide(under_steady_load(surplus=None, in_flight=16), SETTINGS, NOON).surplus is None
    # One that comes every second and stays for 10 keeps 10 busy, whatever the queue shows at this moment.
    seen = replace(under_steady_load(surplus=None, in_flight=2), arrivals_per_s=1.0)
    assert decide(seen, SETTINGS, NOON).surplus == Surplus(NOON, 7, 20, NOON)


def test_the_least_surplus_of_all_looks_is_what_counts() -> None:
    since = NOON - 30 * SECOND
    more_then = decide(under_steady_load(surplus=had(12, since=30 * SECOND)), SETTINGS, NOON)
    less_then = decide(under_steady_load(surplus=had(3, since=30 * SECOND)), SETTINGS, NOON)
    assert (more_then.surplus, less_then.surplus) == (Surplus(since, 10, 20, NOON), Surplus(since, 3, 20, NOON))
    assert more_then.remove == less_then.remove == ()


def test_what_was_too_many_for_a_minute_goes_with_those_that_are_idle_now() -> None:
    assert decide(under_steady_load(surplus=had(3, since=59 * SECOND)), SETTINGS, NOON).remove == ()
    decision = decide(under_steady_load(surplus=had(3, since=60 * SECOND)), SETTINGS, NOON)
    assert decision.remove == ("i-idle9", "i-idle8", "i-idle7")
    assert (decision.reason, decision.desired) == (Reason.IDLE, None)
    # All that was found is gone; the next minute begins with the next look.
    assert decision.surplus is None


def test_when_fewer_are_idle_the_others_go_at_the_next_looks() -> None:
    decision = decide(under_steady_load(surplus=had(5, since=60 * SECOND), idle=2), SETTINGS, NOON)
    assert decision.remove == ("i-idle1", "i-idle0")
    assert decision.surplus == Surplus(NOON - 60 * SECOND, 3, 18, NOON)


def test_a_surplus_is_forgotten_when_it_is_gone_or_the_capacity_was_raised() -> None:
    before = had(5, since=300 * SECOND)
    gone = decide(under_steady_load(surplus=before, in_flight=18, idle=2), SETTINGS, NOON)
    assert (gone.surplus, gone.remove) == (None, ())
    # Seventeen were asked for at the last look, twenty are now: a step policy's three.
    raised = decide(under_steady_load(surplus=replace(before, desired=17)), SETTINGS, NOON)
    assert (raised.surplus, raised.remove) == (Surplus(NOON, 10, 20, NOON), ())
    rush = decide(replace(a_fleet(visible=500, busy=5), surplus=replace(before, desired=5)), SETTINGS, NOON)
    assert rush.desired is not None
    assert rush.surplus is None


def test_a_surplus_that_nobody_has_looked_at_for_long_is_none() -> None:
    decision = decide(under_steady_load(surplus=had(5, since=600 * SECOND, last=91 * SECOND)), SETTINGS, NOON)
    assert (decision.surplus, decision.remove) == (Surplus(NOON, 10, 20, NOON), ())


def test_the_last_instance_is_no_surplus() -> None:
    seen = a_fleet(idle_for=(SECOND, 2 * SECOND))
    decision = decide(replace(seen, surplus=had(5, since=60 * SECOND, desired=2)), SETTINGS, NOON)
    assert decision.remove == ("i-idle1",)
    alone = replace(a_fleet(idle_for=(2 * SECOND,)), surplus=had(5, since=60 * SECOND, desired=1))
    assert decide(alone, SETTINGS, NOON).remove == ()


def test_instances_that_are_yet_to_come_are_none_too_many() -> None:
    seen = a_fleet(in_flight=4, busy=4, idle_for=(SECOND, SECOND), coming_for=(SECOND,) * 6)
    decision = decide(replace(seen, surplus=had(6, since=60 * SECOND, desired=12)), SETTINGS, NOON)
    # Four at work are five with what is spare, of six in service.
    assert len(decision.remove) == 1


@pytest.mark.parametrize(
    "held",
    [
        {"rollout": RolloutStage.MOVING},
        {"rollout": RolloutStage.BAKING},
        {"manual": ManualSetting(20)},
        {"boot_failures": 3, "boot_failed_at": NOON - 20 * MINUTE},
    ],
)
def test_no_surplus_is_counted_while_the_fleet_is_kept_as_it_is(held: dict[str, Any]) -> None:
    seen = replace(under_steady_load(surplus=had(5, since=60 * SECOND)), **held)
    decision = decide(seen, SETTINGS, NOON)
    assert (decision.surplus, decision.remove) == (None, ())


def test_the_last_instance_stays_for_the_whole_idle_time() -> None:
    assert decide(a_fleet(idle_for=(299 * SECOND,)), SETTINGS, NOON).remove == ()
    assert decide(a_fleet(idle_for=(300 * SECOND,)), SETTINGS, NOON).remove == ("i-idle0",)
    assert decide(a_fleet(idle_for=(100 * SECOND, 90 * SECOND)), SETTINGS, NOON).remove == ("i-idle0",)


def test_nothing_leaves_below_the_minimum() -> None:
    seen = a_fleet(idle_for=(3600 * SECOND, 3600 * SECOND, 3600 * SECOND), least=2)
    assert len(decide(seen, SETTINGS, NOON).remove) == 1


def test_an_idle_instance_stays_while_the_queue_has_work_for_it() -> None:
    seen = a_fleet(visible=12, busy=1, idle_for=(3600 * SECOND,))
    assert decide(seen, SETTINGS, NOON).remove == ()


def test_a_bake_neither_grows_nor_shrinks_the_fleet() -> None:
    baking = replace(a_fleet(visible=500, busy=2), rollout=RolloutStage.BAKING)
    decision = decide(baking, SETTINGS, NOON)
    assert (decision.desired, decision.reason) == (None, Reason.ROLLOUT_BAKES)
    idle = replace(a_fleet(idle_for=(3600 * SECOND,)), rollout=RolloutStage.BAKING)
    assert decide(idle, SETTINGS, NOON).remove == ()


def test_a_bake_of_a_fleet_at_zero_is_no_reason_to_let_tasks_wait() -> None:
    assert wanted(replace(a_fleet(visible=1), rollout=RolloutStage.BAKING)) == 1


def test_a_moving_rollout_may_grow_and_ends_nothing() -> None:
    moving = replace(a_fleet(visible=30), rollout=RolloutStage.MOVING)
    assert wanted(moving) == 5
    idle = replace(a_fleet(idle_for=(3600 * SECOND,)), rollout=RolloutStage.MOVING)
    assert decide(idle, SETTINGS, NOON).remove == ()


def dying(seen: Observed, *, last: timedelta) -> Observed:
    return replace(seen, boot_failures=3, boot_failed_at=NOON - last)


def test_a_release_that_dies_at_boot_gets_no_more_instances() -> None:
    decision = decide(dying(a_fleet(visible=100, busy=1), last=MINUTE), SETTINGS, NOON)
    assert (decision.desired, decision.reason) == (None, Reason.BOOT_FAILURES)


def test_two_deaths_at_boot_are_no_reason_to_stop() -> None:
    seen = replace(a_fleet(visible=30), boot_failures=2, boot_failed_at=NOON)
    assert wanted(seen) == 5


def test_those_that_would_die_next_are_taken_away_with_their_places() -> None:
    seen = dying(a_fleet(visible=100, busy=1, coming_for=(SECOND, SECOND), desired=3), last=MINUTE)
    assert decide(seen, SETTINGS, NOON).remove == ("i-coming0", "i-coming1")
    assert decide(replace(seen, limits=Limits(2, 20)), SETTINGS, NOON).remove == ("i-coming0",)


def test_ten_minutes_later_one_instance_finds_out_whether_it_boots_now() -> None:
    assert wanted(dying(a_fleet(visible=100), last=10 * MINUTE)) == 1
    assert wanted(dying(a_fleet(visible=100, busy=3), last=10 * MINUTE)) == 4
    probing = dying(a_fleet(visible=100, coming_for=(SECOND,)), last=10 * MINUTE)
    assert wanted(probing) is None
    assert decide(probing, SETTINGS, NOON).remove == ()


def test_an_operators_number_is_floor_and_ceiling() -> None:
    pinned = ManualSetting(3)
    assert wanted(replace(a_fleet(), manual=pinned)) == 3
    crowded = replace(a_fleet(visible=500, busy=3), manual=pinned)
    assert (wanted(crowded), decide(crowded, SETTINGS, NOON).reason) == (None, Reason.MANUAL)


def test_what_is_idle_above_an_operators_number_leaves_at_once() -> None:
    seen = replace(a_fleet(busy=1, idle_for=(SECOND, 2 * SECOND, SECOND)), manual=ManualSetting(2))
    assert decide(seen, SETTINGS, NOON).remove == ("i-idle1", "i-idle0")


def test_an_operators_number_never_leaves_the_limits() -> None:
    assert wanted(replace(a_fleet(greatest=5), manual=ManualSetting(9))) == 5
    seen = replace(a_fleet(idle_for=(SECOND, SECOND), least=1), manual=ManualSetting(0))
    assert len(decide(seen, SETTINGS, NOON).remove) == 1


def test_an_operators_hours_end() -> None:
    over = ManualSetting(3, until=NOON)
    assert wanted(replace(a_fleet(), manual=over)) is None
    running = ManualSetting(0, until=NOON + MINUTE)
    assert decide(replace(a_fleet(), manual=running), SETTINGS, NOON).goes_on


def test_an_operators_zero_lets_tasks_wait() -> None:
    assert wanted(replace(a_fleet(visible=5), manual=ManualSetting(0))) is None


def test_an_empty_fleet_at_its_minimum_needs_nobody_to_look() -> None:
    assert not decide(a_fleet(), SETTINGS, NOON).goes_on
    assert not decide(a_fleet(idle_for=(SECOND,), least=1), SETTINGS, NOON).goes_on


def test_a_fleet_with_work_is_looked_at_in_seconds_and_one_that_rests_in_a_minute() -> None:
    assert decide(a_fleet(in_flight=1, busy=1), SETTINGS, NOON).look_again == LOOK_EVERY
    resting = decide(a_fleet(idle_for=(SECOND,)), SETTINGS, NOON)
    assert (resting.goes_on, resting.look_again) == (True, REST_LOOK)


def test_on_demand_stands_in_when_spot_was_not_to_be_had_for_five_minutes() -> None:
    short = a_fleet(visible=10, desired=2)
    patient = replace(short, short_since=NOON - 5 * MINUTE + SECOND)
    assert decide(patient, SETTINGS, NOON).market is None
    dry = replace(short, short_since=NOON - 5 * MINUTE)
    assert decide(dry, SETTINGS, NOON).market is Market.TO_ON_DEMAND
    assert decide(dry, replace(SETTINGS, fallback_after=None), NOON).market is None


def test_the_way_back_to_spot_is_tried_after_half_an_hour_or_when_the_queue_is_empty() -> None:
    busy = a_fleet(visible=10, busy=2)
    assert decide(replace(busy, on_demand_since=NOON - 29 * MINUTE), SETTINGS, NOON).market is None
    assert decide(replace(busy, on_demand_since=NOON - 30 * MINUTE), SETTINGS, NOON).market is Market.BACK_TO_SPOT
    assert decide(replace(a_fleet(), on_demand_since=NOON), SETTINGS, NOON).market is Market.BACK_TO_SPOT


def test_a_rollout_keeps_the_purchase_options_as_they_are() -> None:
    dry = replace(a_fleet(visible=10, desired=2), short_since=NOON - 9 * MINUTE, rollout=RolloutStage.MOVING)
    assert decide(dry, SETTINGS, NOON).market is None


def test_the_seconds_of_work_that_wait_are_told() -> None:
    assert decide(replace(a_fleet(visible=3, in_flight=1), task_s=1.5), SETTINGS, NOON).queued_s == 6.0


def test_a_target_of_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        ScalerSettings(target_queue=timedelta(0))
