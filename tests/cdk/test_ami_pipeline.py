"""The pipeline that makes a fleet's AMI, in whole templates; cdk-nag's rules are on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from cdk_templates import templates
from sdfleet_cdk.ami_recipe import Recipe, read_recipe


@pytest.fixture
def template() -> Mapping[str, Any]:
    return templates("image-pipeline").service


def of_type(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    found = template["Resources"].items()
    return {name: one["Properties"] for name, one in found if one["Type"] == f"AWS::ImageBuilder::{kind}"}


def by_name(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {one["Name"]: one for one in of_type(template, kind).values()}


def test_every_fleet_has_a_pipeline(template: Mapping[str, Any]) -> None:
    assert set(by_name(template, "ImagePipeline")) == {"sdfleet-sdruntime-ami", "sdfleet-chips-ami"}


def test_without_the_key_there_is_none() -> None:
    assert of_type(templates("default").service, "ImagePipeline") == {}


def test_an_ami_is_built_and_tested_where_its_accelerators_are(template: Mapping[str, Any]) -> None:
    places = by_name(template, "InfrastructureConfiguration")
    assert places["sdfleet-sdruntime-ami"]["InstanceTypes"] == ["g6.xlarge"]
    assert places["sdfleet-chips-ami"]["InstanceTypes"] == ["inf2.xlarge"]
    for place in places.values():
        assert place["InstanceMetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert place["TerminateInstanceOnFailure"]
    assert all(
        one["ImageTestsConfiguration"]["ImageTestsEnabled"] for one in of_type(template, "ImagePipeline").values()
    )


@pytest.mark.parametrize(("runtime", "recipe"), [("sdruntime", "recipe"), ("chips", "recipe-neuron")])
def test_a_recipe_is_what_the_directory_describes(template: Mapping[str, Any], runtime: str, recipe: str) -> None:
    (made,) = (one for name, one in by_name(template, "ImageRecipe").items() if f"-{runtime}-ami-" in name)
    described = read_recipe(recipe)
    components = of_type(template, "Component")
    texts = [components[one["ComponentArn"]["Fn::GetAtt"][0]]["Data"] for one in made["Components"]]
    assert texts == [document.text for document in described.documents]
    assert made["ParentImage"] == described.parent_image


def test_every_parameter_of_a_component_is_given(template: Mapping[str, Any]) -> None:
    components = of_type(template, "Component")
    seen = 0
    for recipe in of_type(template, "ImageRecipe").values():
        for one in recipe["Components"]:
            used = set(re.findall(r"\{\{ (\w+) \}\}", components[one["ComponentArn"]["Fn::GetAtt"][0]]["Data"]))
            given = {parameter["Name"] for parameter in one.get("Parameters", [])}
            assert used - {"MinimumDriver"} == given
            seen += len(given)
    assert seen == 6


def test_an_ami_has_a_name_of_its_own_and_says_whose_it_is(template: Mapping[str, Any]) -> None:
    (place,) = by_name(template, "DistributionConfiguration")["sdfleet-sdruntime-ami"]["Distributions"]
    assert place["AmiDistributionConfiguration"] == {
        "Name": "sdfleet-sdruntime-ami {{ imagebuilder:buildDate }}",
        "AmiTags": {"sdfleet-deployment": "sdfleet", "sdfleet-runtime": "sdruntime"},
    }


def test_another_content_has_another_name() -> None:
    before = read_recipe("recipe")
    after = Recipe(before.name, before.description, before.parent_image, before.documents[1:])
    assert before.digest() != after.digest()
    assert before.digest("files") != before.digest("other files")
    assert before.digest("files") == read_recipe("recipe").digest("files")


def test_a_name_of_image_builders_is_short_enough(template: Mapping[str, Any]) -> None:
    for kind in (
        "Component",
        "ImageRecipe",
        "ImagePipeline",
        "InfrastructureConfiguration",
        "DistributionConfiguration",
    ):
        for name in by_name(template, kind):
            # API Reference, ResourceName.
            assert re.fullmatch(r"[-_A-Za-z-0-9][-_A-Za-z0-9 ]{1,126}[-_A-Za-z-0-9]", name)


def test_the_machine_that_builds_reads_its_own_list_and_the_fleets_repositories(template: Mapping[str, Any]) -> None:
    (role,) = (
        one["Properties"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::IAM::Role"
        and one["Properties"].get("Description") == "Builds the AMI of sdfleet-sdruntime"
    )
    statements = {one["Sid"]: one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]}
    assert json.dumps(statements["ListOfImages"]["Resource"]).count("sdfleet/sdfleet/sdruntime/baked-images") == 1
    repositories = json.dumps(statements["Images"]["Resource"])
    assert "sdfleet/sdfleet/sdruntime" in repositories
    assert "sdfleet/sdfleet/scheduler" in repositories


def test_a_machine_on_public_subnets_has_an_address(template: Mapping[str, Any]) -> None:
    subnets = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::EC2::Subnet"]
    assert subnets
    assert all(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
