"""Auto Scaling's rules of scaling policies and CloudWatch's of their alarms, one a test, as boto3 sees them.

API: Auto Scaling API reference. Guide: User Guide, by the title of the page. [U]: not documented, ours.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from conformance import Fleet, rule, steps

Make = Callable[..., Fleet]
GUIDE = "Guide, Step and simple scaling policies"
OUT = steps((0, 10, 0), (10, 20, 10), (20, None, 30))
IN = steps((-10, 0, 0), (-20, -10, -10), (None, -20, -30))


@rule(
    "STEP-1",
    "The User Guide's example: at 60 one more than 10, at 70 three more than 11, at 40 one less, at 30 three less.",
    f"{GUIDE}, Step adjustments for step scaling",
)
def test_the_user_guides_example(a_fleet: Make) -> None:
    fleet = a_fleet(10, maximum=50)
    fleet.put_policy(PolicyName="out", AdjustmentType="PercentChangeInCapacity", StepAdjustments=OUT)
    fleet.put_policy(PolicyName="in", AdjustmentType="PercentChangeInCapacity", StepAdjustments=IN)
    sizes = []
    for value, policy in ((59, "out"), (60, "out"), (70, "out"), (41, "in"), (40, "in"), (30, "in")):
        sizes.append(fleet.execute(value, 50, policy))
        fleet.bench.warm_up()
    assert sizes == [10, 11, 14, 14, 13, 10]


@pytest.mark.parametrize(("value", "desired"), [(50, 2), (59.9, 2), (60, 3), (69.9, 3), (70, 4), (1_000, 4)])
@rule(
    "STEP-2",
    "Above the threshold a step's lower bound belongs to it and its upper bound does not.",
    'API, StepAdjustment: "the lower bound is inclusive", "the upper bound is exclusive"',
)
def test_lower_bounds_are_inclusive_above_the_threshold(a_fleet: Make, value: float, desired: int) -> None:
    fleet = a_fleet(1)
    fleet.put_policy(StepAdjustments=steps((0, 10, 1), (10, 20, 2), (20, None, 3)))
    assert fleet.execute(value) == desired


@pytest.mark.parametrize(("value", "desired"), [(50, 4), (40.1, 4), (40, 3), (30.1, 3), (30, 2), (-9, 2)])
@rule(
    "STEP-3",
    "Below the threshold it is the other way round; a policy of values up to the threshold has the threshold itself.",
    'API, StepAdjustment: "Otherwise, it is exclusive"; the threshold itself [U]',
)
def test_upper_bounds_are_inclusive_below_the_threshold(a_fleet: Make, value: float, desired: int) -> None:
    fleet = a_fleet(5)
    fleet.put_policy(StepAdjustments=steps((-10, 0, -1), (-20, -10, -2), (None, -20, -3)))
    assert fleet.execute(value) == desired


@pytest.mark.parametrize(
    ("intervals", "words"),
    [
        (((0, 10, 1), (5, None, 2)), "overlap"),
        (((0, 10, 1), (15, None, 2)), "gaps"),
        (((0, None, 1), (10, None, 2)), "overlap"),
        (((-10, 0, -1),), "unspecified lower bound"),
        (((0, 10, 1),), "unspecified upper bound"),
        (((None, None, 1),), "both a null lower bound and a null upper bound"),
        (((10, 0, 1),), "greater than"),
        ((), "At least one"),
    ],
)
@rule(
    "STEP-4", "Steps neither overlap nor leave a gap, and go on to infinity.", f"{GUIDE}, the notes on step adjustments"
)
def test_steps_that_break_a_rule_are_refused(a_fleet: Make, intervals: Any, words: str) -> None:
    fleet = a_fleet(0)
    arguments = {"PolicyName": "steps", "PolicyType": "StepScaling", "AdjustmentType": "ChangeInCapacity"}
    code = fleet.refused("put_scaling_policy", words, **arguments, StepAdjustments=steps(*intervals))
    assert code == "ValidationError"


@pytest.mark.parametrize(
    ("capacity", "percent", "desired"), [(10, 127, 22), (2, 33, 3), (3, -19, 2), (10, -67, 4), (4, 0, 4)]
)
@rule(
    "STEP-5", "Percentages are cut off towards zero, but are one at least.", f"{GUIDE}, Scaling adjustment types, Note"
)
def test_percentages_are_rounded_as_documented(a_fleet: Make, capacity: int, percent: int, desired: int) -> None:
    fleet = a_fleet(capacity, maximum=50)
    fleet.put_policy(AdjustmentType="PercentChangeInCapacity", StepAdjustments=steps((0, None, percent)))
    assert fleet.execute(50) == desired


@rule("STEP-6", "MinAdjustmentMagnitude: 25 % of 4, but 2 at least, are 2.", "API, PutScalingPolicy")
def test_a_percentage_can_have_a_least_magnitude(a_fleet: Make) -> None:
    fleet = a_fleet(4, maximum=50)
    arguments = {"AdjustmentType": "PercentChangeInCapacity", "MinAdjustmentMagnitude": 2}
    fleet.put_policy(**arguments, StepAdjustments=steps((0, None, 25)))
    assert fleet.execute(50) == 6


@rule("STEP-7", "ExactCapacity sets the capacity, within the limits.", f"{GUIDE}, Scaling adjustment types")
def test_an_exact_capacity_is_set_within_the_limits(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    fleet.put_policy(AdjustmentType="ExactCapacity", StepAdjustments=steps((None, 0, 1), (0, 10, 4), (10, None, 99)))
    sizes = []
    for value in (50, 60, 40):
        sizes.append(fleet.execute(value))
        fleet.bench.warm_up()
    assert sizes == [4, 5, 1]


@rule(
    "WARM-1",
    "While instances warm up, breaches in the same step add nothing; those in a higher step add the difference.",
    f'{GUIDE}, Instance warm-up: "multiple alarm breaches that fall in the range of the same step adjustment result in '
    'a single scaling activity"',
)
def test_instances_that_warm_up_count_as_ordered(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.put_policy(StepAdjustments=steps((0, 10, 1), (10, None, 3)))
    assert [fleet.execute(50), fleet.execute(55), fleet.execute(60), fleet.execute(60)] == [2, 2, 4, 4]


@rule("WARM-2", "Warm-up begins when an instance is in service.", "Guide, Set the default instance warmup")
def test_the_warm_up_begins_in_service(a_fleet: Make) -> None:
    fleet = a_fleet(0)
    fleet.bench.is_sound = False
    fleet.put_policy(StepAdjustments=steps((0, None, 1)))
    fleet.execute(50)
    fleet.bench.warm_up()
    assert fleet.execute(50) == 1
    fleet.bench.is_sound = True
    fleet.bench.settle()
    fleet.bench.warm_up()
    assert fleet.execute(50) == 2


@rule(
    "WARM-3",
    "Policies take nothing away while an instance warms up.",
    f'{GUIDE}, Instance warm-up: "all scale-in activities initiated by scaling policies are blocked"',
)
def test_no_policy_scales_in_while_an_instance_warms_up(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    fleet.put_policy(StepAdjustments=steps((None, 0, -1)))
    fleet.call("set_desired_capacity", DesiredCapacity=3)
    assert fleet.execute(50) == 3
    fleet.bench.warm_up()
    assert fleet.execute(50) == 2


@rule(
    "WARM-4",
    "A policy's own warm-up takes the place of the group's; without either it is the cooldown.",
    "API, PutScalingPolicy, EstimatedInstanceWarmup",
)
def test_a_policy_can_have_its_own_warm_up(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.put_policy(StepAdjustments=steps((0, None, 1)), EstimatedInstanceWarmup=0)
    assert [fleet.execute(50), fleet.execute(50)] == [2, 3]
    fleet.put_policy(StepAdjustments=steps((0, None, 1)))
    fleet.call("update_auto_scaling_group", DefaultInstanceWarmup=-1, DefaultCooldown=0)
    assert fleet.execute(50) == 4
    assert "DefaultInstanceWarmup" not in fleet.group


@rule(
    "SIMP-1", "A simple policy waits for its cooldown, which begins when its work is done.", "Guide, Scaling cooldowns"
)
def test_a_simple_policy_waits_for_its_cooldown(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call(
        "put_scaling_policy", PolicyName="one", AdjustmentType="ChangeInCapacity", ScalingAdjustment=1, Cooldown=60
    )
    fleet.call("execute_policy", PolicyName="one", HonorCooldown=True)
    code = fleet.refused("execute_policy", PolicyName="one", HonorCooldown=True)
    assert (fleet.desired, code) == (2, "ScalingActivityInProgress")
    fleet.bench.tick(timedelta(seconds=60))
    fleet.call("execute_policy", PolicyName="one", HonorCooldown=True)
    assert fleet.desired == 3


@rule(
    "SIMP-2",
    "An operator's capacity waits for the cooldown only if it is asked to; step policies never do.",
    "API, SetDesiredCapacity, HonorCooldown; Guide, Scaling cooldowns",
)
def test_the_cooldown_is_for_those_who_honour_it(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("put_scaling_policy", PolicyName="one", AdjustmentType="ChangeInCapacity", ScalingAdjustment=1)
    fleet.put_policy(StepAdjustments=steps((0, None, 3)))
    fleet.call("execute_policy", PolicyName="one")
    code = fleet.refused("set_desired_capacity", DesiredCapacity=5, HonorCooldown=True)
    assert code == "ScalingActivityInProgress"
    assert fleet.execute(50) == 4
    fleet.call("set_desired_capacity", DesiredCapacity=5)
    assert fleet.desired == 5


@rule(
    "POL-1",
    "Of several policies in one minute, the one with the largest capacity decides.",
    'Guide, Dynamic scaling: "chooses the policy that provides the largest capacity for both scale out and scale in"',
)
def test_the_largest_capacity_wins(a_fleet: Make) -> None:
    fleet = a_fleet(5)
    for name, adjustment in (("three", -3), ("one", -1)):
        arn = fleet.put_policy(PolicyName=name, StepAdjustments=steps((None, 0, adjustment)))
        alarm = fleet.bench.shelf.alarms[f"{fleet.name}-scale-in"]
        once = {"AlarmName": name, "AlarmActions": [arn], "EvaluationPeriods": 1, "DatapointsToAlarm": 1}
        fleet.bench.shelf.put_metric_alarm(**{**alarm, **once})
    assert fleet.bench.minute(0) == 4


@rule("POL-2", "A disabled policy does nothing and is kept.", "Guide, Disable a scaling policy")
def test_a_disabled_policy_does_nothing(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    (found,) = fleet.call("describe_policies", PolicyNames=[f"{fleet.name}-scale-out"])["ScalingPolicies"]
    fleet.put_policy(PolicyName=found["PolicyName"], StepAdjustments=found["StepAdjustments"], Enabled=False)
    assert fleet.bench.minute(120) == 1
    (kept,) = fleet.call("describe_policies", PolicyNames=[found["PolicyName"]])["ScalingPolicies"]
    assert (kept["Enabled"], kept["PolicyARN"]) == (False, found["PolicyARN"])


@rule("POL-3", "A deleted policy's alarm sets off nothing.", "API, DeletePolicy: the alarm is not deleted")
def test_a_deleted_policys_alarm_sets_off_nothing(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("delete_policy", PolicyName=f"{fleet.name}-scale-out")
    assert fleet.bench.minute(120) == 1
    assert fleet.bench.state("scale-out") == "ALARM"
    assert fleet.refused("delete_policy", "not found", PolicyName="nothing") == "ValidationError"


@rule(
    "POL-4", "Policies are shown with the alarms that set them off, unknown names passed over.", "API, DescribePolicies"
)
def test_policies_are_shown_with_their_alarms(a_fleet: Make) -> None:
    fleet = a_fleet(0)
    fleet.bench.minute(0)
    wake = f"{fleet.name}-wake"
    (policy,) = fleet.call("describe_policies", PolicyNames=[wake, "nothing"])["ScalingPolicies"]
    assert [one["AlarmName"] for one in policy["Alarms"]] == [wake]
    assert len(fleet.call("describe_policies", PolicyTypes=["SimpleScaling"])["ScalingPolicies"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"PolicyType": "StepScaling", "StepAdjustments": steps((0, None, 1))}, "AdjustmentType must be specified"),
        ({"AdjustmentType": "ChangeInCapacity"}, "ScalingAdjustment must be specified"),
        ({"AdjustmentType": "Double", "ScalingAdjustment": 1}, "enum value set"),
        ({"AdjustmentType": "ExactCapacity", "ScalingAdjustment": -1}, "non-negative"),
        ({"AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": 1, "EstimatedInstanceWarmup": 9}, "not supported"),
        ({"AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": 1, "MinAdjustmentMagnitude": 1}, "PercentChange"),
    ],
)
@rule("POL-5", "A policy has what its type needs and nothing of another's.", "API, PutScalingPolicy")
def test_a_policy_has_what_its_type_needs(a_fleet: Make, arguments: dict[str, Any], words: str) -> None:
    fleet = a_fleet(0)
    assert fleet.refused("put_scaling_policy", words, PolicyName="mine", **arguments) == "ValidationError"


@rule("POL-6", "A value without a step is refused by ExecutePolicy.", "API, ExecutePolicy, MetricValue")
def test_a_value_without_a_step_is_refused(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.put_policy(StepAdjustments=steps((0, None, 1)))
    arguments = {"PolicyName": "steps", "BreachThreshold": 50}
    assert fleet.refused("execute_policy", "does not correspond", **arguments, MetricValue=49) == "ValidationError"
    assert fleet.refused("execute_policy", "required", **arguments) == "ValidationError"


@rule(
    "ALARM-1",
    "In ALARM the action is invoked each minute, not only at the change.",
    'CloudWatch User Guide, Using CloudWatch alarms: for Auto Scaling actions "once per minute"',
)
def test_an_alarm_sets_its_policy_off_each_minute(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("update_auto_scaling_group", DefaultInstanceWarmup=0)
    assert fleet.bench.minutes(3, visible=12) == [2, 3, 4]


@rule("ALARM-2", "M of N datapoints have to breach.", "CloudWatch API reference, PutMetricAlarm, DatapointsToAlarm")
def test_so_many_of_so_many_datapoints_have_to_breach(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.bench.shelf.alarms[f"{fleet.name}-scale-out"].update(EvaluationPeriods=3, DatapointsToAlarm=2)
    assert [fleet.bench.minute(visible, in_flight=1) for visible in (12, 0, 0, 12, 12)] == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("missing", "state"),
    [("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", "OK"), ("missing", "INSUFFICIENT_DATA")],
)
@rule(
    "ALARM-3",
    "Missing data breaches, does not breach, leaves the state, or is insufficient, as the alarm says.",
    "CloudWatch User Guide, Configuring how CloudWatch alarms treat missing data",
)
def test_missing_data_is_treated_as_the_alarm_says(a_fleet: Make, missing: str, state: str) -> None:
    fleet = a_fleet(1)
    alarm = fleet.bench.shelf.alarms[f"{fleet.name}-scale-out"]
    alarm.update(TreatMissingData=missing, StateValue="OK", Dimensions=[{"Name": "QueueName", "Value": "nothing"}])
    fleet.bench.minute(120)
    assert fleet.bench.state("scale-out") == state


@rule("ALARM-4", "Metric math: IF, FILL, AND, comparisons and arithmetic.", "CloudWatch User Guide, Using metric math")
def test_metric_math_is_evaluated(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    alarm = fleet.bench.shelf.alarms[f"{fleet.name}-wake"]
    alarm["ActionsEnabled"] = False
    for formula, state in (
        ("IF(visible >= 4 AND desired == 1, visible / 2, 0)", "ALARM"),
        ("IF(visible < 4 OR desired != 1, 1, -visible + 4)", "OK"),
        ("visible / 0", "OK"),
    ):
        alarm["Metrics"][0]["Expression"] = formula
        fleet.bench.minute(4)
        assert fleet.bench.state("wake") == state, formula
