"""A fleet's step policies and alarms, evaluated here, come to what `sdfleet.domain.scaling` says."""

from __future__ import annotations

import pytest

from scaling_bench import MAXIMUM, ScalingBench
from sdfleet.domain.scaling import DEFAULT_STEPS, Limits, Step, StepTable, stepped_up
from sdfleet_local.scaling_processes import Process

LIMITS = Limits(0, MAXIMUM)


@pytest.mark.parametrize("visible", [0, 1, 9, 10, 11, 49, 50, 51, 100, 101, 120, 5_000])
@pytest.mark.parametrize("capacity", [0, 1, 2, 4, 5])
def test_one_minute_adds_what_the_step_table_adds(capacity: int, visible: int) -> None:
    bench = ScalingBench(capacity)
    bench.warm_up()
    expected = stepped_up(DEFAULT_STEPS, LIMITS, capacity=capacity, visible=visible)
    # In flight, so that an empty queue is no reason to shrink.
    assert bench.minute(visible, in_flight=1) == expected


def test_120_queued_tasks_follow_the_step_table() -> None:
    """From zero: three at once, and not one more until they have warmed up; then three more, up to the maximum."""
    bench = ScalingBench(0)
    warming_up = bench.minutes(6, visible=120)
    assert warming_up == [3, 3, 3, 3, 3, 3]
    assert bench.minute(120) == MAXIMUM
    assert bench.states() == ["InService"] * MAXIMUM


def test_more_messages_while_instances_warm_up_add_the_difference() -> None:
    bench = ScalingBench(1)
    bench.warm_up()
    assert [bench.minute(12), bench.minute(60), bench.minute(150), bench.minute(150)] == [2, 3, 4, 4]


def test_a_message_wakes_a_fleet_at_zero_within_a_minute() -> None:
    bench = ScalingBench(0)
    assert bench.minute(0) == 0
    assert bench.minute(1) == 1
    # Neither again nor more: nine messages are no step.
    assert bench.minutes(3, visible=9) == [1, 1, 1]


def test_a_fleet_shrinks_by_one_a_minute_once_it_has_been_empty_for_the_idle_time() -> None:
    bench = ScalingBench(3)
    bench.warm_up()
    bench.minute(0, in_flight=2)
    assert bench.minutes(8, visible=0) == [3, 3, 3, 3, 2, 1, 0, 0]
    assert bench.states() == []


def test_what_is_in_flight_keeps_the_fleet() -> None:
    bench = ScalingBench(2)
    bench.warm_up()
    assert bench.minutes(4, visible=0) == [2] * 4
    assert bench.minutes(3, visible=0, in_flight=1) == [2] * 3
    # The five minutes begin anew.
    assert bench.minutes(5, visible=0) == [2, 2, 2, 2, 1]


def test_nothing_shrinks_while_an_instance_warms_up() -> None:
    bench = ScalingBench(0, is_sound=False)
    bench.minute(120)
    assert bench.minutes(9, visible=0) == [3] * 9
    bench.is_sound = True
    bench.settle()
    assert bench.minutes(7, visible=0) == [3, 3, 3, 3, 3, 2, 1]


def test_it_never_grows_beyond_its_maximum_nor_shrinks_below_its_minimum() -> None:
    bench = ScalingBench(4, maximum=5)
    bench.group.resize(minimum=4)
    bench.warm_up()
    assert bench.minute(500) == 5
    bench.warm_up()
    assert bench.minutes(8, visible=0)[-1] == 4


def test_a_table_of_the_configuration_takes_the_place_of_the_default_one() -> None:
    bench = ScalingBench(1, table=StepTable((Step(0, 0), Step(5, 2), Step(20, 6))), maximum=20)
    bench.warm_up()
    assert bench.minute(4) == 1
    assert bench.minute(5) == 3
    bench.warm_up()
    assert bench.minute(20) == 9


def test_a_fixed_fleet_evaluates_its_alarms_and_acts_on_none() -> None:
    """`--instances 3` asks for three: the process AlarmNotification is suspended until somebody resumes it."""
    bench = ScalingBench(3)
    bench.group.suspend([Process.ALARM_NOTIFICATION])
    bench.warm_up()
    assert bench.minute(120) == 3
    assert bench.state("scale-out") == "ALARM"
    bench.group.resume([Process.ALARM_NOTIFICATION])
    assert bench.minute() == 5


def test_alarms_say_what_they_saw() -> None:
    bench = ScalingBench(0)
    bench.minute(120)
    name, state, reason = next(one for one in bench.shelf.changes if one[0].endswith("scale-out"))
    assert (name, state) == (f"{bench.name}-scale-out", "ALARM")
    assert reason == ("Threshold Crossed: 1 datapoint [120.0] was greater than or equal to the threshold (10.0).")


def test_an_alarm_that_cannot_be_evaluated_has_no_data_and_says_why() -> None:
    bench = ScalingBench(1)
    alarm = bench.shelf.alarms[f"{bench.name}-wake"]
    alarm["Metrics"][0]["Expression"] = "ANOMALY_DETECTION_BAND(visible, 2)"
    alarm["StateValue"] = "OK"
    bench.minute(5)
    assert bench.state("wake") == "INSUFFICIENT_DATA"
    assert bench.shelf.changes[-1][2].startswith("Local mode cannot evaluate the metric expression")


def test_time_runs_at_the_pace_of_local_mode() -> None:
    bench = ScalingBench(0)
    bench.scaling.pace = 0.1
    bench.minute(120)
    # 300 s of warm-up are 30 s here.
    assert bench.minute(120) == MAXIMUM
