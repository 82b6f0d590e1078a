"""Local mode's policies and alarms of a fleet are the template's, property by property."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdk_templates import templates
from scaling_bench import AlarmShelf
from sdfleet.config import FleetConfig
from sdfleet_local.plan import PlannedScaling
from sdfleet_local.scaling_policies import PolicyBook
from sdfleet_local.scaling_rules import FleetRules

FLEET = "local-sdruntime"
POLICY = "AWS::AutoScaling::ScalingPolicy"
ALARM = "AWS::CloudWatch::Alarm"
RULES = ("scale-out", "wake", "scale-in")


def here() -> tuple[PolicyBook, AlarmShelf]:
    config = FleetConfig().scaling
    policies, shelf = PolicyBook(), AlarmShelf()
    cloudwatch: Any = shelf
    FleetRules(FLEET, config.step_table, config.cooldown).put(policies, cloudwatch)
    return policies, shelf


def there(rule: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """An alarm of the template, and the policy that it sets off."""
    alarm = templates("local").named(ALARM, "AlarmName")[f"{FLEET}-{rule}"]
    (action,) = alarm["AlarmActions"]
    policy = next(one for one in templates("local").resources(POLICY) if one.logical_id == action["Ref"])
    return alarm, policy.properties


def test_the_alarms_are_the_templates() -> None:
    _, shelf = here()
    of_endpoint = {"AlarmArn", "StateValue", "AlarmActions"}
    for rule in RULES:
        alarm, _ = there(rule)
        ours = {key: one for key, one in shelf.alarms[f"{FLEET}-{rule}"].items() if key not in of_endpoint}
        # The whole template is tagged by the deployment's configuration.
        assert ours == {key: one for key, one in alarm.items() if key not in {"AlarmActions", "Tags"}}


def test_each_alarm_sets_off_the_same_policy() -> None:
    policies, shelf = here()
    for rule in RULES:
        _, policy = there(rule)
        (arn,) = shelf.alarms[f"{FLEET}-{rule}"]["AlarmActions"]
        found = policies.find(arn)
        assert found is not None
        shown = found.to_answer()
        steps = [{key: one for key, one in step.items() if one is not None} for step in shown["StepAdjustments"]]
        ours = {key: shown[key] for key in ("PolicyType", "AdjustmentType", "MetricAggregationType")}
        assert {**ours, "StepAdjustments": steps} == {
            key: one for key, one in policy.items() if key != "AutoScalingGroupName"
        }


def test_a_plans_defaults_are_the_configurations() -> None:
    fleet = FleetConfig()
    assert PlannedScaling() == PlannedScaling(
        steps=fleet.scaling.step_table.steps,
        idle_after_s=fleet.scaling.cooldown_s,
        warmup_s=fleet.scaling.warmup_s,
        max_instances=fleet.max_size,
    )
