"""The project that builds container images on the account."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import aws_cdk as cdk
import pytest

from sdfleet.config import Config
from sdfleet_cdk.image_pipeline import SOURCES, ImageBuild, image_parts

RUNTIMES: list[dict[str, Any]] = [
    {"name": "sdruntime", "type": "sdwebui", "modelFilename": "v1-5.safetensors"},
    {"name": "flows", "type": "comfyui", "images": {"runtime": "registry.example.com/comfyui:1"}},
    {"name": "pattern", "type": "test_pattern"},
]


@pytest.fixture(scope="module")
def assembly() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        app = cdk.App(outdir=directory, analytics_reporting=False)
        stack = cdk.Stack(app, "Images")
        ImageBuild(stack, "ImageBuild", config=_config(RUNTIMES))
        app.synth()
        yield Path(directory)


def test_only_what_the_configuration_takes_from_nowhere_else_is_built() -> None:
    assert image_parts(_config(RUNTIMES)) == ("scheduler", "sdruntime")


def test_where_every_image_is_named_nothing_is_built() -> None:
    images = {"runtime": "registry.example.com/webui:1", "scheduler": "registry.example.com/scheduler:1"}
    assert image_parts(_config([{**RUNTIMES[0], "images": images}])) == ()


def test_a_build_pushes_to_the_deployments_own_repositories_only(assembly: Path) -> None:
    (role,) = _of_type(assembly, "AWS::IAM::Role")
    (push,) = [
        statement
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Sid"] == "Push"
    ]
    repositories = ["".join(map(str, one["Fn::Join"][1])).rsplit("repository/", 1)[-1] for one in push["Resource"]]
    assert repositories == ["sdfleet/sdfleet/scheduler", "sdfleet/sdfleet/sdruntime"]


def test_the_project_has_the_name_that_the_command_line_starts(assembly: Path) -> None:
    (project,) = _of_type(assembly, "AWS::CodeBuild::Project")
    assert project["Name"] == "sdfleet-images"
    assert project["Environment"]["PrivilegedMode"] is True


def test_a_failed_build_pushes_nothing(assembly: Path) -> None:
    (project,) = _of_type(assembly, "AWS::CodeBuild::Project")
    spec = json.loads(project["Source"]["BuildSpec"])
    assert spec["phases"]["post_build"]["commands"][0] == 'test "$CODEBUILD_BUILD_SUCCEEDING" = 1'


def test_the_source_is_what_dockerfiles_are_built_from_and_nothing_else(assembly: Path) -> None:
    staged = [one for one in assembly.iterdir() if one.name.startswith("asset.")]
    (source,) = [one for one in staged if one.is_dir() or one.suffix == ".zip"]
    names = {one.name for one in source.iterdir()} if source.is_dir() else set(ZipFile(source).namelist())
    assert {name.split("/", 1)[0] for name in names} == set(SOURCES)


def _config(runtimes: list[dict[str, Any]]) -> Config:
    return Config.model_validate({"stackName": "sdfleet", "modelsRuntime": runtimes})


def _of_type(assembly: Path, kind: str) -> list[Any]:
    template = json.loads((assembly / "Images.template.json").read_text())
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]
