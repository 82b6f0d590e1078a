"""The fast scaler in the template: called by tasks, its rule off, and with no more rights than it uses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_templates import flat, templates
from sdfleet.config import Config
from sdfleet.environment import HandlerEnvironment
from sdfleet.scaler_environment import FleetScalerEnvironment
from sdfleet_cdk.fleet_scaler import scaled_runtimes

FUNCTION = "local-fleet-scaler"
CALLERS = ("local-api", "local-submission", "local-sweeper")


def environment_of(function: str) -> dict[str, str]:
    functions = templates("local").named("AWS::Lambda::Function", "FunctionName")
    return {name: flat(value) for name, value in functions[function]["Environment"]["Variables"].items()}


def statements_of(function: str) -> dict[str, Any]:
    """By their names."""
    properties = templates("local").named("AWS::Lambda::Function", "FunctionName")[function]
    role_id = properties["Role"]["Fn::GetAtt"][0]
    (role,) = [one for one in templates("local").resources("AWS::IAM::Role") if one.logical_id == role_id]
    return {
        statement["Sid"]: statement
        for policy in role.properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    }


def test_the_schedule_is_off_until_the_function_switches_it_on() -> None:
    rule = templates("local").named("AWS::Events::Rule", "Name")["local-fleet-scaler"]
    assert (rule["State"], rule["ScheduleExpression"]) == ("DISABLED", "rate(1 minute)")


def test_the_function_is_told_its_fleets_and_what_they_aim_at() -> None:
    environment = FleetScalerEnvironment.from_env(environment_of(FUNCTION))
    assert [fleet.runtime for fleet in environment.fleets] == ["sdruntime", "comfy-flow"]
    assert {fleet.settings.target_s for fleet in environment.fleets} == {60.0}


def test_whoever_publishes_tasks_may_wake_it() -> None:
    for caller in CALLERS:
        assert HandlerEnvironment.from_env(environment_of(caller)).wake_topic_arn is not None
        assert statements_of(caller)["Wake"]["Action"] == "sns:Publish"
        assert statements_of(caller)["MarkWake"]["Action"] == "dynamodb:UpdateItem"


def test_the_topic_calls_the_function() -> None:
    (called,) = [
        one.properties
        for one in templates("local").resources("AWS::SNS::Subscription")
        if one.properties["Protocol"] == "lambda"
    ]
    assert "FleetScaler" in json.dumps(called["Endpoint"])


@pytest.mark.parametrize("sid", ["ChangeCapacity", "BuyOnDemand"])
def test_it_changes_the_groups_of_this_deployment_alone(sid: str) -> None:
    groups = statements_of(FUNCTION)[sid]["Resource"]
    assert [flat(one).rsplit("/", 1)[-1] for one in groups] == ["local-sdruntime", "local-comfy-flow"]


def test_a_fleet_can_be_left_to_its_alarms() -> None:
    fleet = {"scaling": {"fastScaler": False}}
    config = Config.model_validate({"modelsRuntime": [{"name": "a", "type": "comfyui", "fleet": fleet}]})
    assert scaled_runtimes(config) == ()
