"""`sdfleet deploy` from nothing to a picture, on an account of stubs; every step fails once, and a new run goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from account_stub import ACCOUNT, API_KEY, MODEL, REGION, FakeAccount, running_account
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment import model_steps, pipeline
from sdfleet_cli.deployment.model_transfer import KnownModel
from sdfleet_cli.deployment.runner import Step
from sdfleet_cli.deployment.session import Session
from sdfleet_cli.main import main

BUCKET = f"sdfleet-models-{ACCOUNT}-{REGION}"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    with running_account(tmp_path) as running:
        running.quotas = {"L-DB2E81BA": 64, "L-3819A6DF": 64, "L-F678F1CE": 5}
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        tools = running.install_tools("cdk", "docker")
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SDFLEET_ROOT", str(a_checkout(tmp_path / "a checkout")))
        model = KnownModel(
            "v1-5-pruned-emaonly.safetensors",
            len(MODEL),
            hashlib.sha256(MODEL).hexdigest(),
            {"aws": f"{running.stub_url}/model"},
        )
        monkeypatch.setattr(model_steps, "BASE_MODEL", model)
        yield running


@pytest.mark.parametrize(
    ("status", "is_refused"),
    [("in-progress", True), ("rolling-back", True), ("stable", False), ("failed", False)],
)
def test_nothing_is_deployed_while_a_release_is_on_its_way(account: FakeAccount, status: str, is_refused: bool) -> None:
    ssm = account.client("ssm")
    for name, value in (("image-version", "1.0.0"), ("deployment-status", status)):
        ssm.put_parameter(Name=f"/sdfleet/sdfleet/sdruntime/{name}", Value=value, Type="String", Overwrite=True)
    result = deploy()
    assert (result.exit_code == 3, account.calls("cdk") == []) == (is_refused, is_refused), result.output
    assert ("scripts/rollback.sh sdfleet" in result.output) is is_refused


def a_checkout(root: Path) -> Path:
    for dockerfile in ("scheduler/Dockerfile", "scheduler/images/sdwebui/Dockerfile"):
        (root / dockerfile).parent.mkdir(parents=True, exist_ok=True)
        (root / dockerfile).write_text("FROM scratch\n")
    (root / "cdk").mkdir()
    return root


def config_of(root: Path) -> Path:
    return root / "a checkout" / "config" / "config.yaml"


def deploy(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["deploy", *arguments])


def test_one_command_ends_with_a_picture(account: FakeAccount, tmp_path: Path) -> None:
    result = deploy()
    assert result.exit_code == 0, result.output
    assert "https://cdn.example/picture.png" in result.output
    assert f"curl -s {account.stub_url}/prod/v1alpha2" in result.output
    assert API_KEY not in result.output
    stored = account.client("s3").get_object(Bucket=BUCKET, Key="Stable-diffusion/v1-5-pruned-emaonly.safetensors")
    assert stored["Body"].read() == MODEL
    assert f"modelBucketArn: arn:aws:s3:::{BUCKET}" in config_of(tmp_path).read_text()
    assert [call[:2] for call in account.calls("cdk")] == [
        ["bootstrap", f"aws://{ACCOUNT}/{REGION}"],
        ["deploy", "sdfleet-foundation"],
        ["deploy", "sdfleet"],
    ]
    # The bucket with the pictures of an earlier deployment, which a removal has kept, is taken in again.
    assert all("--import-existing-resources" in call for call in account.calls("cdk") if call[0] == "deploy")
    version = account.client("ssm").get_parameter(Name="/sdfleet/sdfleet/sdruntime/image-version")["Parameter"]["Value"]
    record = account.client("ssm").get_parameter(Name=f"/sdfleet/sdfleet/sdruntime/releases/{version}")
    release = json.loads(record["Parameter"]["Value"])
    assert release["scheduler_image"].startswith(
        f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sdfleet/sdfleet/scheduler@sha256:"
    )


def test_a_second_run_does_nothing_again(account: FakeAccount) -> None:
    assert deploy().exit_code == 0
    calls = len(account.calls("cdk")), len(account.calls("docker"))
    result = deploy()
    assert result.exit_code == 0, result.output
    assert len(account.calls("cdk")) == calls[0]
    # It is asked whether it works, and for nothing more.
    assert [call[0] for call in account.calls("docker")[calls[1] :]] == ["info"]
    assert result.output.count("done already") == len(pipeline.STEP_NAMES) - 2


def test_a_changed_configuration_deploys_the_stacks_again(account: FakeAccount, tmp_path: Path) -> None:
    assert deploy().exit_code == 0
    config = config_of(tmp_path)
    config.write_text(config.read_text() + "waitingCap: 7\n")
    before = len(account.calls("cdk"))
    assert deploy().exit_code == 0
    assert [call[1] for call in account.calls("cdk")[before:]] == ["sdfleet-foundation", "sdfleet"]


def test_what_is_gone_from_the_account_is_made_again(account: FakeAccount) -> None:
    assert deploy().exit_code == 0
    account.client("cloudformation").delete_stack(StackName="sdfleet")
    before = len(account.calls("cdk"))
    assert deploy().exit_code == 0
    assert [call[1] for call in account.calls("cdk")[before:]] == ["sdfleet"]


@pytest.mark.parametrize(
    ("tool", "word", "step"),
    [
        ("cdk", "bootstrap", "bootstrap"),
        ("cdk", "sdfleet-foundation", "foundation"),
        ("docker", "login", "images"),
        ("docker", "build", "images"),
        ("docker", "push", "images"),
        ("cdk", "sdfleet", "service"),
    ],
)
def test_a_tool_that_fails_once_stops_its_step_and_the_next_run_goes_on(
    account: FakeAccount, tool: str, word: str, step: str
) -> None:
    account.fail_once(tool, word)
    failed = deploy()
    assert failed.exit_code == 1
    assert f"({step}) failed" in failed.output
    assert "Go on from it with: ./deploy.sh" in failed.output
    assert "Traceback" not in failed.output
    again = deploy()
    assert again.exit_code == 0, again.output
    done = pipeline.STEP_NAMES.index(step)
    # Configuration and checks are looked at every time.
    assert again.output.count("done already") == done - 2


class Breaking:
    """A step that does its work and is cut off before that is written down, once."""

    def __init__(self, step: Step, broken: set[str]) -> None:
        self._step = step
        self._broken = broken
        self.name = step.name
        self.title = step.title

    def inputs(self, session: Session) -> Mapping[str, object]:
        return self._step.inputs(session)

    def holds(self, session: Session) -> bool:
        return self._step.holds(session)

    def run(self, session: Session) -> Mapping[str, str]:
        results = self._step.run(session)
        if self.name not in self._broken:
            self._broken.add(self.name)
            raise DeploymentError(f"{self.name} was cut off.")
        return results


def test_every_step_may_be_cut_off_after_its_work(account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    broken: set[str] = set()
    steps_of = pipeline.steps_of
    monkeypatch.setattr(
        "sdfleet_cli.deployment.account_deploy.steps_of",
        lambda wishes: [Breaking(step, broken) for step in steps_of(wishes)],
    )
    for name in pipeline.STEP_NAMES:
        result = deploy()
        assert result.exit_code == 1
        assert f"({name}) failed" in result.output, result.output
    result = deploy()
    assert result.exit_code == 0, result.output
    # Nothing was made twice that costs: one build of each image, one release.
    assert [call[0] for call in account.calls("docker") if call[0] == "push"] == ["push", "push"]
    assert len(account.client("ecr").list_images(repositoryName="sdfleet/sdfleet/scheduler")["imageIds"]) == 1


def test_a_task_that_fails_fails_the_deployment(account: FakeAccount) -> None:
    account.task_status = "failed"
    result = deploy()
    assert result.exit_code == 1
    assert "model_not_found: there is no such model" in result.output


def test_without_quota_the_command_to_ask_for_it_is_shown_and_nothing_is_made(account: FakeAccount) -> None:
    account.quotas["L-3819A6DF"] = 0
    result = deploy()
    assert result.exit_code == 3
    assert (
        "request-service-quota-increase --service-code ec2 --quota-code L-3819A6DF --desired-value 20" in result.output
    )
    assert account.calls("cdk") == []


def test_waiting_requests_must_leave_room_in_the_accounts_lambda_limit(account: FakeAccount) -> None:
    account.concurrency = 10
    result = deploy()
    assert result.exit_code == 3
    assert "set waitingCap below 10" in result.output


def test_a_quota_that_cannot_be_read_is_no_obstacle(account: FakeAccount) -> None:
    account.quotas.clear()
    result = deploy("--no-picture")
    assert result.exit_code == 0, result.output
    assert "cannot be read" in result.output


def test_a_snapshot_that_does_not_exist_is_refused(account: FakeAccount, tmp_path: Path) -> None:
    result = deploy("-s", "snap-0123456789abcdef0")
    assert result.exit_code == 3
    assert "snapshot snap-0123456789abcdef0 is not there" in result.output
    assert "snapshotId: snap-0123456789abcdef0" in config_of(tmp_path).read_text()


def test_a_download_that_breaks_off_is_taken_up_where_it_broke(account: FakeAccount) -> None:
    account.breaks = [1000]
    result = deploy("--no-picture")
    assert result.exit_code == 0, result.output
    assert account.ranges == ["", "bytes=1000-"]


def test_a_file_that_is_not_the_base_model_is_not_kept(account: FakeAccount) -> None:
    account.model = b"something else"
    result = deploy()
    assert result.exit_code == 1
    assert "is not the file it should be" in result.output
    assert account.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert "Uploads" not in account.client("s3").list_multipart_uploads(Bucket=BUCKET)


def test_a_named_bucket_must_exist(account: FakeAccount) -> None:
    result = deploy("-b", "somebodys-models")
    assert result.exit_code == 1
    assert "There is no bucket somebodys-models" in result.output


def test_a_named_bucket_is_used_and_its_models_stay(account: FakeAccount) -> None:
    account.client("s3").create_bucket(Bucket="my-models")
    account.client("s3").put_object(
        Bucket="my-models", Key="Stable-diffusion/v1-5-pruned-emaonly.safetensors", Body=b"my own"
    )
    result = deploy("-b", "my-models", "--no-picture")
    assert result.exit_code == 0, result.output
    stored = account.client("s3").get_object(Bucket="my-models", Key="Stable-diffusion/v1-5-pruned-emaonly.safetensors")
    assert stored["Body"].read() == b"my own"
    assert account.ranges == []


def test_without_a_container_engine_the_ways_out_are_named(account: FakeAccount, tmp_path: Path) -> None:
    for engine in ("docker", "podman", "buildah"):
        # In front of the machine's own.
        (tmp_path / "tools" / engine).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "tools" / engine).chmod(0o755)
    result = deploy()
    assert result.exit_code == 3
    assert "--on-aws" in result.output


def test_without_credentials_the_error_says_how_to_get_some(
    account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = deploy()
    assert result.exit_code == 1
    assert "There are no AWS credentials; log in again" in result.output


def test_a_deployment_stays_in_its_region_unless_told(account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deploy("--no-picture").exit_code == 0
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    result = deploy()
    assert result.exit_code == 2
    assert "add -R us-east-1 to go on with it" in result.output


def test_a_deployment_of_another_name_has_stacks_of_that_name(account: FakeAccount, tmp_path: Path) -> None:
    result = deploy("art", "--no-picture")
    assert result.exit_code == 0, result.output
    assert [call[1] for call in account.calls("cdk") if call[0] == "deploy"] == ["art-foundation", "art"]
    assert (tmp_path / "a checkout" / ".sdfleet" / "art" / "outputs.json").is_file()
