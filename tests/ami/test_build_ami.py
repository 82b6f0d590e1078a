"""`build-ami.sh`: started, followed, recorded in a release; on an Image Builder that keeps the service's states."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from click.testing import CliRunner, Result

from builders import NOON
from sdfleet.aws.image_builder import POLL, AmiPipelines
from sdfleet.domain.release import Release
from sdfleet.errors import DeploymentError, DeploymentRefused
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet_cli.commands import build_ami as command
from sdfleet_cli.main import main

AMI = "ami-0123456789abcdef0"
BUILD = "arn:aws:imagebuilder:us-east-1:123456789012:image/sdfleet-sd-ami-1/1.0.0/1"
#: Image Builder API Reference, ImageState.
GOOD = ("PENDING", "BUILDING", "TESTING", "DISTRIBUTING", "AVAILABLE")


@dataclass
class FakeImageBuilder:
    """One pipeline, whose builds go through `states`."""

    states: tuple[str, ...] = GOOD
    reason: str = ""
    pipelines: tuple[str, ...] = ("sdfleet-sd-ami", "sdfleet-comfy-ami")
    started: list[str] = field(default_factory=list)
    looks: int = 0

    def list_image_pipelines(self, **request: Any) -> dict[str, Any]:
        (wanted,) = request["filters"][0]["values"]
        return {
            "imagePipelineList": [{"name": name, "arn": f"arn:{name}"} for name in self.pipelines if name == wanted]
        }

    def start_image_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        self.started.append(request["imagePipelineArn"])
        return {"imageBuildVersionArn": BUILD}

    def get_image(self, **request: Any) -> dict[str, Any]:
        assert request["imageBuildVersionArn"] == BUILD
        status = self.states[min(self.looks, len(self.states) - 1)]
        self.looks += 1
        made = {"outputResources": {"amis": [{"image": AMI, "region": "us-east-1"}]}} if status == "AVAILABLE" else {}
        return {"image": {"state": {"status": status, "reason": self.reason}, **made}}


@dataclass(frozen=True)
class Fleet:
    runtime: str
    releases: MemoryReleaseStore

    def current_version(self) -> str | None:
        return self.releases.read(self.runtime, "image-version")

    def release(self, version: str) -> Release:
        record = self.releases.read(self.runtime, f"releases/{version}")
        if record is None:
            raise DeploymentRefused(f"There is no release {version} of {self.runtime}.")
        return Release.from_json(json.loads(record))


@dataclass
class Deployment:
    service: FakeImageBuilder
    releases: MemoryReleaseStore
    pauses: list[float]

    def release(self, version: str, runtime: str = "sd") -> Release | None:
        record = self.releases.read(runtime, f"releases/{version}")
        return None if record is None else Release.from_json(json.loads(record))


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    releases = MemoryReleaseStore()
    for runtime in ("sd", "comfy"):
        own = Release("1.1.0", NOON, "ada", "scheduler@sha256:5", f"{runtime}@sha256:7", commit="abc")
        releases.write(runtime, "releases/1.1.0", json.dumps(own.to_json()))
        releases.write(runtime, "image-version", "1.1.0")
    there = Deployment(FakeImageBuilder(), releases, [])
    fleets = {name: Fleet(name, releases) for name in ("sd", "comfy")}
    monkeypatch.setattr(
        command,
        "find_fleets",
        lambda _, *, region, runtime: ("ada", (fleets[runtime],) if runtime else tuple(fleets.values())),
    )
    clients = SimpleNamespace(imagebuilder=there.service)
    monkeypatch.setattr(command, "reach", lambda *_: SimpleNamespace(deployment_id="sdfleet", clients=clients))
    monkeypatch.setattr("time.sleep", there.pauses.append)
    return there


def build(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["build-ami", "sdfleet", *arguments])


def test_an_ami_is_built_and_is_in_a_release_with_the_images_that_it_brings(deployment: Deployment) -> None:
    result = build("--runtime", "sd", "--version", "1.1.0-ami1")
    assert result.exit_code == 0, result.output
    assert deployment.service.started == ["arn:sdfleet-sd-ami"]
    made = deployment.release("1.1.0-ami1")
    assert made is not None
    assert (made.ami_id, made.scheduler_image, made.runtime_image, made.commit) == (
        AMI, "scheduler@sha256:5", "sd@sha256:7", "abc",
    )  # fmt: skip
    assert "scripts/deploy-new-version.sh sdfleet 1.1.0-ami1" in result.output


def test_the_build_is_told_which_images_before_it_starts(deployment: Deployment) -> None:
    deployment.service.states = ("FAILED",)
    build("--runtime", "sd")
    assert deployment.releases.read("sd", "baked-images") == "scheduler@sha256:5\nsd@sha256:7"


def test_its_progress_is_shown_step_by_step(deployment: Deployment) -> None:
    deployment.service.states = ("PENDING", "BUILDING", "BUILDING", "TESTING", "AVAILABLE")
    lines = build("--runtime", "sd").output.splitlines()
    assert [line for line in lines if line in {f"sd: {state.lower()}" for state in GOOD}] == [
        "sd: pending", "sd: building", "sd: testing", "sd: available",
    ]  # fmt: skip
    assert deployment.pauses == [POLL.total_seconds()] * 4


def test_every_fleet_gets_its_own(deployment: Deployment) -> None:
    assert build("--version", "2").exit_code == 0
    assert deployment.service.started == ["arn:sdfleet-sd-ami", "arn:sdfleet-comfy-ami"]
    assert deployment.release("2", "comfy") is not None


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_build_that_fails_is_told_with_its_reason_and_in_no_release(deployment: Deployment, state: str) -> None:
    deployment.service.states, deployment.service.reason = ("BUILDING", state), "The driver is 550."
    result = build("--runtime", "sd", "--version", "2")
    assert result.exit_code == 1
    assert f"Image Builder made no AMI ({state.lower()}: The driver is 550). The build: {BUILD}" in result.output
    assert deployment.release("2") is None


def test_a_version_that_exists_is_refused_before_anything_is_built(deployment: Deployment) -> None:
    result = build("--version", "1.1.0")
    assert result.exit_code == 3
    assert "1.1.0 of sd exists and never changes" in result.output
    assert deployment.service.started == []


def test_without_a_pipeline_it_says_how_there_comes_to_be_one(deployment: Deployment) -> None:
    deployment.service.pipelines = ()
    result = build()
    assert result.exit_code == 3
    assert "set imagePipeline.enabled in the configuration and run deploy.sh" in result.output


def test_a_dry_run_builds_nothing(deployment: Deployment) -> None:
    result = build("--dry-run")
    assert result.exit_code == 0
    assert "sd: an AMI with the images of 1.1.0 becomes 1.1.0-ami" in result.output
    assert deployment.service.started == []
    assert deployment.releases.read("sd", "baked-images") is None


def test_this_machine_has_no_ami() -> None:
    result = CliRunner().invoke(main, ["build-ami", "local"])
    assert result.exit_code == 2
    assert "no AMI" in result.output


def test_a_build_without_an_end_is_given_up() -> None:
    pipelines = AmiPipelines(FakeImageBuilder(states=("BUILDING",)), pause=lambda _: None)
    with pytest.raises(DeploymentError, match="runs for hours"):
        pipelines.follow(BUILD, on_status=lambda _: None)


def test_requests_and_answers_are_image_builders_own() -> None:
    client = boto3.client(
        "imagebuilder", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    pipeline = "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/sdfleet-sd-ami"
    made = {"outputResources": {"amis": [{"image": AMI, "region": "us-east-1"}]}}
    with Stubber(client) as stub:
        stub.add_response(
            "list_image_pipelines",
            {"imagePipelineList": [{"name": "sdfleet-sd-ami", "arn": pipeline}]},
            {"filters": [{"name": "name", "values": ["sdfleet-sd-ami"]}]},
        )
        stub.add_response(
            "start_image_pipeline_execution",
            {"imageBuildVersionArn": BUILD},
            {"imagePipelineArn": pipeline},
        )
        for status in GOOD:
            image = {"state": {"status": status}, **(made if status == "AVAILABLE" else {})}
            stub.add_response("get_image", {"image": image}, {"imageBuildVersionArn": BUILD})
        pipelines = AmiPipelines(client, pause=lambda _: None)
        found = pipelines.find("sdfleet-sd-ami")
        assert found == pipeline
        seen: list[str] = []
        assert pipelines.follow(pipelines.start(found).arn, on_status=seen.append) == AMI
        stub.assert_no_pending_responses()
    assert seen == [status.lower() for status in GOOD]


def test_what_aws_refuses_is_a_sentence() -> None:
    class Refusing(FakeImageBuilder):
        def list_image_pipelines(self, **request: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListImagePipelines")

    with pytest.raises(DeploymentError, match="AWS does not allow ListImagePipelines"):
        AmiPipelines(Refusing()).find("sdfleet-sd-ami")
