"""`--on-aws`: the images of this checkout are built by CodeBuild; its answers are checked against the SDK's models."""

from __future__ import annotations

import io
import json
import shlex
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from click.testing import CliRunner, Result

from account_stub import ACCOUNT, REGION, FakeAccount, running_account
from sdfleet.aws.build_project import POLL, BuildProject
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment import image_steps
from sdfleet_cli.deployment.build_context import pack
from sdfleet_cli.main import main

INBOX = f"sdfleet-inbox-{ACCOUNT}-{REGION}"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = f"""\
modelsRuntime:
  - name: flows
    type: comfyui
    customNodes:
      - {{repository: "https://git.example/one", commit: "{COMMIT}"}}
      - {{repository: "https://git.example/two", commit: "{COMMIT}"}}
"""


@dataclass
class FakeBuildProject:
    """CodeBuild as the command uses it: what it is told to build is in ECR afterwards."""

    account: FakeAccount
    is_there: bool = True
    failure: str = ""
    runs: list[dict[str, str]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def exists(self) -> bool:
        return self.is_there

    def run(self, variables: dict[str, str], *, source: str, on_phase: Any) -> None:
        self.runs.append(variables)
        self.sources.append(source)
        on_phase("build")
        if self.failure:
            raise DeploymentError(self.failure)
        repository = variables["REPOSITORY_URI"].split("/", 1)[1]
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "layers": [], "config": {"digest": repository}}
        self.account.client("ecr").put_image(
            repositoryName=repository, imageTag=variables["IMAGE_VERSION"], imageManifest=json.dumps(manifest)
        )


@dataclass(frozen=True)
class Place:
    account: FakeAccount
    project: FakeBuildProject
    root: Path

    def build(self, version: str, *options: str) -> Result:
        return CliRunner().invoke(main, ["build-images", "sdfleet", version, "--on-aws", *options])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with running_account(tmp_path) as account:
        for name, value in account.environment.items():
            monkeypatch.setenv(name, value)
        # No engine at all.
        monkeypatch.setenv("PATH", str(tmp_path))
        root = a_checkout(tmp_path / "a checkout")
        monkeypatch.setenv("SDFLEET_ROOT", str(root))
        project = FakeBuildProject(account)
        monkeypatch.setattr(image_steps, "BuildProject", lambda client, name: project)
        account.client("s3").create_bucket(Bucket=INBOX)
        yield Place(account, project, root)


def a_checkout(root: Path) -> Path:
    files = {
        ".dockerignore": "*\n!scheduler\n!LICENSE\n**/__pycache__\n",
        "LICENSE": "a licence",
        "config/config.yaml": CONFIG,
        "secret.txt": "stays at home",
        "scheduler/Dockerfile": "FROM scratch\n",
        "scheduler/images/comfyui/Dockerfile": "FROM scratch\n",
        "scheduler/__pycache__/old.pyc": "",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_a_version_is_built_on_the_account_and_recorded(place: Place) -> None:
    result = place.build("1.1.0", "--runtime")
    assert result.exit_code == 0, result.output
    assert [run["DOCKERFILE"] for run in place.project.runs] == [
        "scheduler/Dockerfile", "scheduler/images/comfyui/Dockerfile",
    ]  # fmt: skip
    record = place.account.client("ssm").get_parameter(Name="/sdfleet/sdfleet/flows/releases/1.1.0")
    recorded = json.loads(record["Parameter"]["Value"])
    assert "/sdfleet/sdfleet/flows@sha256:" in recorded["runtime_image"]
    assert "/sdfleet/sdfleet/scheduler@sha256:" in recorded["scheduler_image"]


def test_what_is_built_is_this_checkout_and_only_what_its_images_are_made_of(place: Place) -> None:
    place.build("1.1.0")
    (bucket, _, key) = place.project.sources[0].partition("/")
    assert (bucket, key.partition("/")[0]) == (INBOX, "build-sources")
    archive = place.account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert sorted(zipfile.ZipFile(io.BytesIO(archive)).namelist()) == [
        ".dockerignore", "LICENSE", "scheduler/Dockerfile", "scheduler/images/comfyui/Dockerfile",
    ]  # fmt: skip
    (place.root / "LICENSE").write_text("another licence")
    place.build("1.2.0")
    assert place.project.sources[0] != place.project.sources[-1]


def test_custom_nodes_come_pinned_and_as_one_argument(place: Place) -> None:
    place.build("1.1.0", "--base", "python:3.11")
    assert shlex.split(place.project.runs[-1]["BUILD_ARGUMENTS"]) == [
        f"--build-arg=CUSTOM_NODES=https://git.example/one@{COMMIT} https://git.example/two@{COMMIT}",
        "--build-arg=BASE=python:3.11",
    ]


def test_a_build_that_fails_there_records_no_release(place: Place) -> None:
    place.project.failure = "The build on the account failed in its phase build."
    result = place.build("1.1.0")
    assert result.exit_code == 1
    assert "failed in its phase build" in result.output
    assert place.account.client("ssm").describe_parameters()["Parameters"] == []


def test_without_the_project_it_says_how_there_comes_to_be_one(place: Place) -> None:
    place.project.is_there = False
    assert "--redo foundation" in place.build("1.1.0").output


def test_settings_of_pip_are_for_builds_here(place: Place) -> None:
    result = place.build("1.1.0", "--pip-config", str(place.root / "LICENSE"))
    assert result.exit_code == 2
    assert "for builds on this machine" in result.output


def test_the_same_files_are_the_same_archive(tmp_path: Path) -> None:
    root = a_checkout(tmp_path)
    before = pack(root)
    (root / "LICENSE").touch()
    assert pack(root) == before


def test_a_build_is_asked_for_and_followed_in_codebuilds_own_words() -> None:
    project, stub, pauses = a_project()
    begun = {"build": {"id": "sdfleet-images:1"}}
    asked = {
        "projectName": "sdfleet-images",
        "sourceLocationOverride": f"{INBOX}/build-sources/1.zip",
        "environmentVariablesOverride": [{"name": "IMAGE_VERSION", "value": "1.1.0", "type": "PLAINTEXT"}],
    }
    stub.add_response("start_build", begun, asked)
    for phase, status in (("PROVISIONING", "IN_PROGRESS"), ("BUILD", "IN_PROGRESS"), ("COMPLETED", "SUCCEEDED")):
        stub.add_response(
            "batch_get_builds", {"builds": [{"currentPhase": phase, "buildStatus": status}]}, {"ids": ANY}
        )
    phases: list[str] = []
    project.run({"IMAGE_VERSION": "1.1.0"}, source=f"{INBOX}/build-sources/1.zip", on_phase=phases.append)
    stub.assert_no_pending_responses()
    assert phases == ["provisioning", "build", "completed"]
    assert pauses == [POLL.total_seconds()] * 2


def test_a_failed_build_is_told_with_its_phase_its_reason_and_its_log() -> None:
    project, stub, _ = a_project()
    stub.add_response("start_build", {"build": {"id": "sdfleet-images:1"}})
    failed = {
        "currentPhase": "COMPLETED",
        "buildStatus": "FAILED",
        "phases": [
            {"phaseType": "PROVISIONING", "phaseStatus": "SUCCEEDED"},
            {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "exit status 1"}]},
        ],
        "logs": {"deepLink": "https://console.example/log"},
    }
    stub.add_response("batch_get_builds", {"builds": [failed]})
    with pytest.raises(DeploymentError, match=r"phase build: exit status 1\. Its log: https://console\.example/log"):
        project.run({}, source="a/b", on_phase=lambda _: None)


def a_project() -> tuple[BuildProject, Stubber, list[float]]:
    """Its requests and answers are checked against botocore's model of CodeBuild."""
    client = boto3.client("codebuild", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    stub = Stubber(client)
    stub.activate()
    pauses: list[float] = []
    return BuildProject(client, "sdfleet-images", pause=pauses.append), stub, pauses
