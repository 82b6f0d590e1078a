"""The project that builds container images on the account."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from sdfleet.config import Config
from sdfleet_cdk.image_pipeline import ImageBuild, image_parts

SOURCES = "sdfleet-inbox-123456789012-us-west-2"
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
        ImageBuild(stack, "ImageBuild", config=_config(RUNTIMES), source_bucket=SOURCES)
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


def test_a_build_reads_the_source_that_the_command_line_has_put_there_and_no_other_object(assembly: Path) -> None:
    (project,) = _of_type(assembly, "AWS::CodeBuild::Project")
    assert project["Source"]["Location"] == f"{SOURCES}/build-sources/"
    (role,) = _of_type(assembly, "AWS::IAM::Role")
    (source,) = [
        statement["Resource"]
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Sid"] == "Source"
    ]
    assert json.dumps(source).count(f"{SOURCES}/build-sources/*") == 1


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_an_argument_with_spaces_in_it_stays_one(assembly: Path, tmp_path: Path) -> None:
    (project,) = _of_type(assembly, "AWS::CodeBuild::Project")
    (command,) = json.loads(project["Source"]["BuildSpec"])["phases"]["build"]["commands"]
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    docker.chmod(0o755)
    told = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "DOCKERFILE": "scheduler/images/comfyui/Dockerfile",
        "REPOSITORY_URI": "registry/one",
        "IMAGE_VERSION": "1.1.0",
        "BUILD_ARGUMENTS": "'--build-arg=CUSTOM_NODES=https://one https://two'",
    }
    ran = subprocess.run(["bash", "-c", command], env=told, capture_output=True, text=True, check=True)
    assert ran.stdout == (
        "build|--file|scheduler/images/comfyui/Dockerfile|--tag|registry/one:1.1.0|"
        "--build-arg=CUSTOM_NODES=https://one https://two|.|"
    )


def _config(runtimes: list[dict[str, Any]]) -> Config:
    return Config.model_validate({"stackName": "sdfleet", "modelsRuntime": runtimes})


def _of_type(assembly: Path, kind: str) -> list[Any]:
    template = json.loads((assembly / "Images.template.json").read_text())
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]
