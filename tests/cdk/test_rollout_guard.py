"""A `cdk deploy` in the middle of a rollout ends before it has touched anything."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cdk_templates import VARIANTS, templates
from sdfleet.domain.rollout import DeploymentStatus
from sdfleet_cdk.rollout_guard import GUARD

PARAMETER = "AWS::SSM::Parameter"


def guards(variant: str) -> dict[str, Any]:
    """Properties by logical id."""
    resources = templates(variant).service["Resources"]
    return {
        name: one["Properties"]
        for name, one in resources.items()
        if one["Type"] == PARAMETER and one["Properties"]["Name"].endswith(f"/{GUARD}")
    }


def test_each_fleet_has_a_guard_that_copies_its_own_status() -> None:
    made = templates("two-runtimes").service
    statuses = {one["Name"]: made["Parameters"][one["Value"]["Ref"]] for one in guards("two-runtimes").values()}
    assert {name: (one["Type"], one["Default"]) for name, one in statuses.items()} == {
        f"/sdfleet/Pictures/{runtime}/{GUARD}": (
            "AWS::SSM::Parameter::Value<String>",
            f"/sdfleet/Pictures/{runtime}/deployment-status",
        )
        for runtime in ("sdruntime", "comfy-flow")
    }


@pytest.mark.parametrize("status", DeploymentStatus)
def test_parameter_store_takes_every_status_but_those_of_a_rollout(status: DeploymentStatus) -> None:
    is_taken = status in (DeploymentStatus.STABLE, DeploymentStatus.FAILED)
    for guard in guards("two-runtimes").values():
        assert (re.search(guard["AllowedPattern"], status) is not None) is is_taken


def test_the_refusal_names_fleet_and_reason() -> None:
    assert sorted(name[:-8] for name in guards("two-runtimes")) == [
        "RefusedDuringRolloutComfyFlowDeploymentStatus",
        "RefusedDuringRolloutSdruntimeDeploymentStatus",
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_changed_before_every_guard_has_let_it_pass(variant: str) -> None:
    made = set(guards(variant))
    assert made
    for name, one in templates(variant).service["Resources"].items():
        if name not in made:
            assert made <= set(one.get("DependsOn", ())), name


def test_a_guard_waits_for_nothing() -> None:
    resources = templates("two-runtimes").service["Resources"]
    assert not any("DependsOn" in resources[name] for name in guards("two-runtimes"))
