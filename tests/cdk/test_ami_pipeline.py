"""The pipeline that makes a fleet's AMI, in whole templates; cdk-nag's rules are on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from sdfleet.config import Config, placed
from sdfleet_cdk.ami_recipe import Recipe, read_recipe
from sdfleet_cdk.app import add_stacks

SERVICE = "sdfleet"
#: Components that come with the service too have their parameters filled in.
NEURON = {
    "name": "chips",
    "type": "custom",
    "images": {"runtime": "registry.example.com/neuron:1"},
    "fleet": {"instanceTypes": ["inf2.xlarge"]},
}
WEBUI = {"name": "sdruntime", "type": "sdwebui", "modelFilename": "v1-5.safetensors"}


def synthesized(directory: str, **settings: Any) -> dict[str, Any]:
    config = Config.model_validate({"region": "us-west-2", "modelsRuntime": [WEBUI, NEURON], **settings})
    app = cdk.App(outdir=directory, analytics_reporting=False)
    add_stacks(app, placed(config, "us-west-2"))
    app.synth()
    template: dict[str, Any] = json.loads((Path(directory) / f"{SERVICE}.template.json").read_text())
    return template


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        yield name


@pytest.fixture(scope="module")
def template(directory: str) -> dict[str, Any]:
    return synthesized(directory, imagePipeline={"enabled": True, "instanceType": "g6.xlarge"})


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    found = template["Resources"].items()
    return {name: one["Properties"] for name, one in found if one["Type"] == f"AWS::ImageBuilder::{kind}"}


def by_name(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {one["Name"]: one for one in of_type(template, kind).values()}


def test_every_fleet_has_a_pipeline(template: dict[str, Any]) -> None:
    assert set(by_name(template, "ImagePipeline")) == {"sdfleet-sdruntime-ami", "sdfleet-chips-ami"}


def test_without_the_key_there_is_none() -> None:
    with tempfile.TemporaryDirectory() as directory:
        assert of_type(synthesized(directory), "ImagePipeline") == {}


def test_an_ami_is_built_and_tested_where_its_accelerators_are(template: dict[str, Any]) -> None:
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
def test_a_recipe_is_what_the_directory_describes(template: dict[str, Any], runtime: str, recipe: str) -> None:
    (made,) = (one for name, one in by_name(template, "ImageRecipe").items() if f"-{runtime}-ami-" in name)
    described = read_recipe(recipe)
    components = of_type(template, "Component")
    texts = [components[one["ComponentArn"]["Fn::GetAtt"][0]]["Data"] for one in made["Components"]]
    assert texts == [document.text for document in described.documents]
    assert made["ParentImage"] == described.parent_image


def test_every_parameter_of_a_component_is_given(template: dict[str, Any]) -> None:
    components = of_type(template, "Component")
    seen = 0
    for recipe in of_type(template, "ImageRecipe").values():
        for one in recipe["Components"]:
            used = set(re.findall(r"\{\{ (\w+) \}\}", components[one["ComponentArn"]["Fn::GetAtt"][0]]["Data"]))
            given = {parameter["Name"] for parameter in one.get("Parameters", [])}
            assert used - {"MinimumDriver"} == given
            seen += len(given)
    assert seen == 6


def test_an_ami_has_a_name_of_its_own_and_says_whose_it_is(template: dict[str, Any]) -> None:
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


def test_a_name_of_image_builders_is_short_enough(template: dict[str, Any]) -> None:
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


def test_the_machine_that_builds_reads_its_own_list_and_the_fleets_repositories(template: dict[str, Any]) -> None:
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


def test_a_machine_on_public_subnets_has_an_address(template: dict[str, Any]) -> None:
    subnets = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::EC2::Subnet"]
    assert subnets
    assert all(subnet["MapPublicIpOnLaunch"] for subnet in subnets)


def test_cloudformation_has_no_complaint(template: dict[str, Any], directory: str) -> None:
    linter = Path(sys.executable).parent / "cfn-lint"
    if not linter.exists():
        pytest.skip("cfn-lint is not installed")
    file = Path(directory) / f"{SERVICE}.template.json"
    words = [str(linter), "-i", "W3005", "--non-zero-exit-code", "error", str(file)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
