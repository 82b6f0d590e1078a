"""Policies and alarms say what `sdfleet.domain.scaling` says."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_fleet_bench import FleetTemplate, fleet_template, with_fleet
from sdfleet.domain import scaling

POLICY = "AWS::AutoScaling::ScalingPolicy"
ALARM = "AWS::CloudWatch::Alarm"
FLEET = "sdfleet-sdruntime"


@pytest.mark.parametrize("visible", [10, 11, 49, 50, 51, 100, 101, 102, 5_000])
def test_the_template_adds_what_the_step_table_adds(visible: int) -> None:
    template = fleet_template()
    assert _adjustment(template, "scale-out", visible) == scaling.DEFAULT_STEPS.addition(visible)


def test_the_step_table_is_the_specified_one() -> None:
    alarm, policy = _rule(fleet_template(), "scale-out")
    assert (alarm["MetricName"], alarm["Threshold"], alarm["ComparisonOperator"]) == (
        "ApproximateNumberOfMessagesVisible",
        10,
        "GreaterThanOrEqualToThreshold",
    )
    assert policy["AdjustmentType"] == "ChangeInCapacity"
    assert policy["StepAdjustments"] == [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 40, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 40, "MetricIntervalUpperBound": 91, "ScalingAdjustment": 2},
        {"MetricIntervalLowerBound": 91, "ScalingAdjustment": 3},
    ]


def test_steps_of_the_configuration_take_the_place_of_the_default_ones() -> None:
    steps = [
        {"fromMessages": 0, "addInstances": 0},
        {"fromMessages": 5, "addInstances": 2},
        {"fromMessages": 20, "addInstances": 6},
    ]
    template = fleet_template(modelsRuntime=with_fleet(maxSize=20, scaling={"steps": steps}))
    assert [_adjustment(template, "scale-out", visible) for visible in (5, 19, 20, 900)] == [2, 2, 6, 6]


def test_a_message_at_a_fleet_of_zero_wakes_one_instance_and_never_sets_a_number() -> None:
    alarm, policy = _rule(fleet_template(), "wake")
    (formula,) = [one["Expression"] for one in alarm["Metrics"] if one.get("Expression")]
    assert formula == "IF(FILL(desired, 0) < 1 AND visible > 0, 1, 0)"
    assert _metric_names(alarm) == {"visible": "ApproximateNumberOfMessagesVisible", "desired": "GroupDesiredCapacity"}
    assert policy["AdjustmentType"] == "ChangeInCapacity"
    assert _adjustment(fleet_template(), "wake", 1) == scaling.WAKE_CAPACITY


def test_the_metric_that_the_wake_reads_is_collected() -> None:
    (collection,) = fleet_template().one("AWS::AutoScaling::AutoScalingGroup")["MetricsCollection"]
    assert "GroupDesiredCapacity" in collection["Metrics"]


def test_a_fleet_shrinks_by_one_when_nothing_waits_and_nothing_runs_for_the_whole_cooldown() -> None:
    alarm, policy = _rule(fleet_template(), "scale-in")
    (formula,) = [one["Expression"] for one in alarm["Metrics"] if one.get("Expression")]
    assert formula == "visible + inflight"
    assert _metric_names(alarm)["inflight"] == "ApproximateNumberOfMessagesNotVisible"
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "LessThanOrEqualToThreshold")
    assert alarm["EvaluationPeriods"] * 60 == scaling.DEFAULT_IDLE_AFTER.total_seconds()
    assert policy["StepAdjustments"] == [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -scaling.SCALE_IN_STEP}]


def test_a_queue_without_metrics_changes_nothing() -> None:
    template = fleet_template()
    assert _rule(template, "scale-in")[0]["TreatMissingData"] == "ignore"
    assert _rule(template, "scale-out")[0]["TreatMissingData"] == "notBreaching"
    assert _rule(template, "wake")[0]["TreatMissingData"] == "notBreaching"


def test_a_new_instance_has_the_configured_time_to_warm_up() -> None:
    assert fleet_template().one("AWS::AutoScaling::AutoScalingGroup")["DefaultInstanceWarmup"] == 300


def test_gpu_utilisation_scales_only_where_it_is_asked_for_and_never_takes_an_instance_away() -> None:
    assert _tracking(fleet_template()) == []
    (policy,) = _tracking(fleet_template(modelsRuntime=with_fleet(scaling={"gpuUtilisationTarget": 75})))
    tracked = policy["TargetTrackingConfiguration"]
    assert (tracked["TargetValue"], tracked["DisableScaleIn"]) == (75, True)
    metric = tracked["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "nvidia_smi_utilization_gpu"
    assert metric["Dimensions"] == [{"Name": "Fleet", "Value": FLEET}]


def _tracking(template: FleetTemplate) -> list[Any]:
    return [one for one in template.of_type(POLICY) if one["PolicyType"] == "TargetTrackingScaling"]


def _rule(template: FleetTemplate, name: str) -> tuple[Any, Any]:
    """An alarm and the policy that it sets off."""
    alarm = template.named(ALARM, "AlarmName", f"{FLEET}-{name}")
    (action,) = alarm["AlarmActions"]
    return alarm, template.resources[action["Ref"]]["Properties"]


def _adjustment(template: FleetTemplate, name: str, value: int) -> int:
    """What Auto Scaling adds at a value of the alarm's metric, by its documented bounds."""
    alarm, policy = _rule(template, name)
    above = value - alarm["Threshold"]
    (adjustment,) = [
        step["ScalingAdjustment"]
        for step in policy["StepAdjustments"]
        if step.get("MetricIntervalLowerBound", -1) <= above < step.get("MetricIntervalUpperBound", above + 1)
    ]
    return int(adjustment)


def _metric_names(alarm: Any) -> dict[str, str]:
    return {one["Id"]: one["MetricStat"]["Metric"]["MetricName"] for one in alarm["Metrics"] if "MetricStat" in one}
