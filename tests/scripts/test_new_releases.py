"""`build-and-push-image.sh`: what makes a version, recorded once, on an account of stubs and on this machine."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from account_stub import ACCOUNT, REGION, FakeAccount, running_account
from builders import NOON
from sdfleet.domain.release import Release
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet_cli.commands import build_images as command
from sdfleet_cli.main import main

REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
CONFIG = """\
modelsRuntime:
  - {name: sdruntime, type: sdwebui, modelFilename: v1-5.safetensors, fleet: {amiId: ami-0123456789abcdef0}}
  - {name: comfyruntime, type: comfyui}
"""


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    with running_account(tmp_path) as running:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        # Without the machine's own engines.
        tools = running.install_tools("docker")
        (tools / "git").symlink_to(shutil.which("git") or "/usr/bin/git")
        monkeypatch.setenv("PATH", str(tools))
        monkeypatch.setenv("SDFLEET_ROOT", str(a_checkout(tmp_path / "a checkout")))
        yield running


def a_checkout(root: Path) -> Path:
    for place in ("scheduler", "scheduler/images/sdwebui", "scheduler/images/comfyui"):
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "Dockerfile").write_text("FROM scratch\n")
    (root / "config").mkdir()
    (root / "config" / "config.yaml").write_text(CONFIG)
    for module in ("src/sdfleet", "scheduler/sdfleet_scheduler"):
        (root / module).mkdir(parents=True)
        (root / module / "__init__.py").touch()
    return root


def build(version: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["build-images", "sdfleet", version, *options])


def release(account: FakeAccount, runtime: str, version: str) -> dict[str, str]:
    name = f"/sdfleet/sdfleet/{runtime}/releases/{version}"
    found: dict[str, str] = json.loads(account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    return found


def in_service(account: FakeAccount, version: str) -> None:
    """Both fleets run a release whose images have digests that nothing else has here."""
    for runtime in ("sdruntime", "comfyruntime"):
        own = Release(version, NOON, "ada", "scheduler@sha256:5", f"{runtime}@sha256:7", "ami-0000000000baked00")
        for name, value in (("image-version", version), (f"releases/{version}", json.dumps(own.to_json()))):
            account.client("ssm").put_parameter(Name=f"/sdfleet/sdfleet/{runtime}/{name}", Value=value, Type="String")


def pushed(account: FakeAccount) -> list[str]:
    return [
        call[1].removeprefix(f"{REGISTRY}/sdfleet/sdfleet/") for call in account.calls("docker") if call[0] == "push"
    ]


def test_a_version_is_built_pushed_and_recorded_by_its_digests(account: FakeAccount) -> None:
    result = build("1.1.0")
    assert result.exit_code == 0, result.output
    assert pushed(account) == ["scheduler:1.1.0", "sdruntime:1.1.0", "comfyruntime:1.1.0"]
    recorded = release(account, "sdruntime", "1.1.0")
    for part, key in (("scheduler", "scheduler_image"), ("sdruntime", "runtime_image")):
        image = account.client("ecr").describe_images(repositoryName=f"sdfleet/sdfleet/{part}")["imageDetails"][0]
        assert recorded[key] == f"{REGISTRY}/sdfleet/sdfleet/{part}@{image['imageDigest']}"
    assert recorded["ami_id"] == "ami-0123456789abcdef0"
    assert f"arn:aws:sts::{ACCOUNT}" in recorded["created_by"]
    assert release(account, "comfyruntime", "1.1.0")["scheduler_image"] == recorded["scheduler_image"]


def test_a_repository_that_is_missing_is_made_with_tags_that_stay_and_scans(account: FakeAccount) -> None:
    build("1.1.0")
    for repository in account.client("ecr").describe_repositories()["repositories"]:
        assert repository["imageTagMutability"] == "IMMUTABLE"
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}


def test_a_version_that_exists_is_refused_and_stays(account: FakeAccount) -> None:
    build("1.1.0")
    before, calls = release(account, "sdruntime", "1.1.0"), len(account.calls("docker"))
    result = build("1.1.0", "--runtime")
    assert result.exit_code == 3
    assert result.output == "Error: 1.1.0 exists in sdfleet and never changes; choose another version.\n"
    assert len(account.calls("docker")) == calls
    assert release(account, "sdruntime", "1.1.0") == before


def test_runtimes_keep_the_image_that_they_run_unless_a_new_one_is_asked_for(account: FakeAccount) -> None:
    in_service(account, "1.1.0")
    assert build("1.2.0").exit_code == 0
    assert pushed(account) == ["scheduler:1.2.0"]
    assert release(account, "sdruntime", "1.2.0")["runtime_image"] == "sdruntime@sha256:7"
    assert release(account, "sdruntime", "1.2.0")["scheduler_image"] != "scheduler@sha256:5"
    # Made by build-ami.sh: without it every instance would pull its images again. The configuration's goes before.
    assert release(account, "comfyruntime", "1.2.0")["ami_id"] == "ami-0000000000baked00"
    assert release(account, "sdruntime", "1.2.0")["ami_id"] == "ami-0123456789abcdef0"
    assert build("1.3.0", "--runtime", "sdruntime").exit_code == 0
    assert pushed(account)[1:] == ["scheduler:1.3.0", "sdruntime:1.3.0"]
    assert release(account, "sdruntime", "1.3.0")["runtime_image"] != "sdruntime@sha256:7"
    assert release(account, "comfyruntime", "1.3.0")["runtime_image"] == "comfyruntime@sha256:7"
    assert build("1.4.0", "--runtime").exit_code == 0
    assert pushed(account)[3:] == ["scheduler:1.4.0", "sdruntime:1.4.0", "comfyruntime:1.4.0"]


def test_a_build_that_breaks_off_is_gone_on_with(account: FakeAccount) -> None:
    account.fail_once("docker", quote(f"{REGISTRY}/sdfleet/sdfleet/sdruntime:1.1.0", safe=""))
    broken = build("1.1.0")
    assert broken.exit_code == 1
    assert "docker failed" in broken.output
    assert build("1.1.0").exit_code == 0
    assert sorted(pushed(account)) == [
        "comfyruntime:1.1.0", "scheduler:1.1.0", "sdruntime:1.1.0", "sdruntime:1.1.0",
    ]  # fmt: skip


@pytest.mark.parametrize(("engine", "verb"), [("podman", "build"), ("buildah", "bud")])
def test_an_image_is_built_without_docker_too(
    account: FakeAccount, monkeypatch: pytest.MonkeyPatch, engine: str, verb: str
) -> None:
    (account.install_tools(engine) / "docker").unlink()
    result = build("1.1.0")
    assert result.exit_code == 0, result.output
    built = next(call for call in account.calls(engine) if call[0] == verb)
    # A health check is lost in the other format.
    assert "--format=docker" in built


def test_another_base_and_an_index_of_ones_own_go_into_the_build_and_not_into_the_image(
    account: FakeAccount, tmp_path: Path
) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nindex-url = https://packages.example.com/simple\n")
    result = build("1.1.0", "--base", "registry.example.com/python:3.11", "--pip-config", str(settings))
    assert result.exit_code == 0, result.output
    built = next(call for call in account.calls("docker") if call[0] == "build")
    assert "--build-arg=BASE=registry.example.com/python:3.11" in built
    assert f"--secret=id=pip-config,src={settings}" in built
    assert not [word for word in built if "packages.example.com" in word]


def test_what_would_be_built_is_said_and_nothing_is_done(account: FakeAccount) -> None:
    result = build("1.1.0", "--dry-run")
    assert result.exit_code == 0
    assert f"Would build scheduler/Dockerfile as {REGISTRY}/sdfleet/sdfleet/scheduler:1.1.0" in result.output
    assert account.calls("docker") == []
    assert account.client("ecr").describe_repositories()["repositories"] == []


def test_a_runtime_that_is_none_is_refused(account: FakeAccount) -> None:
    result = build("1.1.0", "--runtime", "invokeai")
    assert result.exit_code == 3
    assert "has no runtime invokeai; it has comfyruntime, sdruntime" in result.output


@pytest.mark.parametrize("version", ["", "a b", "../1", "1/2", "x" * 65])
def test_a_version_is_a_name(version: str) -> None:
    result = build(version)
    assert result.exit_code == 2
    assert "VERSION must be" in result.output


@dataclass(frozen=True)
class LocalFleet:
    runtime: str
    releases: MemoryReleaseStore


@pytest.fixture
def local_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryReleaseStore:
    store = MemoryReleaseStore()
    monkeypatch.setenv("SDFLEET_ROOT", str(a_checkout(tmp_path)))
    monkeypatch.setattr(
        command, "find_fleets", lambda *_, **__: ("arn:aws:iam::123456789012:root", (LocalFleet("test", store),))
    )
    return store


def snapshot(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["build-images", "local", *arguments])


def test_on_this_machine_a_version_is_a_snapshot(local_releases: MemoryReleaseStore, tmp_path: Path) -> None:
    result = snapshot("1.1.0")
    assert result.exit_code == 0, result.output
    recorded = json.loads(local_releases.read("test", "releases/1.1.0") or "{}")
    assert recorded["scheduler_image"] == str(tmp_path / ".sdfleet/local/releases/1.1.0")
    assert (tmp_path / ".sdfleet/local/releases/1.1.0/sdfleet_scheduler/__init__.py").exists()


def test_on_this_machine_too_a_version_is_made_once(local_releases: MemoryReleaseStore) -> None:
    assert snapshot("1.1.0").exit_code == 0
    before = local_releases.read("test", "releases/1.1.0")
    assert snapshot("1.1.0").exit_code == 3
    assert local_releases.read("test", "releases/1.1.0") == before


def test_on_this_machine_a_dry_run_leaves_nothing(local_releases: MemoryReleaseStore, tmp_path: Path) -> None:
    assert snapshot("1.1.0", "--dry-run").exit_code == 0
    assert local_releases.read("test", "releases/1.1.0") is None
    assert not (tmp_path / ".sdfleet").exists()


def test_a_version_that_is_broken_on_purpose_says_so(local_releases: MemoryReleaseStore, tmp_path: Path) -> None:
    result = snapshot("1.2.0", "--bad", "fail-tasks")
    assert result.exit_code == 0, result.output
    assert "broken on purpose (fail-tasks)" in result.output
    recorded = json.loads(local_releases.read("test", "releases/1.2.0") or "{}")
    assert recorded["scheduler_image"].endswith("broken on purpose (fail-tasks)")
    planted = tmp_path / ".sdfleet/local/releases/1.2.0/sdfleet_scheduler"
    assert (planted / "practice-fault").read_text() == "fail-tasks\n"


def test_a_version_that_is_broken_on_purpose_is_refused_for_aws() -> None:
    result = CliRunner().invoke(main, ["build-images", "pictures", "1.2.0", "--bad", "leak"])
    assert result.exit_code == 2
    assert "practising on this machine" in result.output


def test_container_images_are_none_of_this_machines(local_releases: MemoryReleaseStore) -> None:
    result = snapshot("1.1.0", "--on-aws")
    assert result.exit_code == 2
    assert "local has no container images" in result.output
