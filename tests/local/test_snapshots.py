"""Releases on this machine: copies of the source, and instances that run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment
from sdfleet.errors import DeploymentRefused
from sdfleet_local import child
from sdfleet_local.instance import SchedulerLauncher
from sdfleet_local.snapshots import environment_of, keep_what_runs, take_snapshot

_ROOT = Path(__file__).resolve().parents[2]


def a_checkout(root: Path, *, says: str = "first") -> Path:
    for module in ("src/sdfleet", "scheduler/sdfleet_scheduler"):
        (root / module).mkdir(parents=True, exist_ok=True)
        (root / module / "__init__.py").write_text(f"SAYS = {says!r}\n")
    return root


def test_a_snapshot_stays_as_it_was_when_the_checkout_goes_on(tmp_path: Path) -> None:
    checkout, releases = a_checkout(tmp_path / "checkout"), tmp_path / "releases"
    snapshot = take_snapshot(checkout, releases, "1.1.0")
    a_checkout(checkout, says="second")
    assert snapshot == releases / "1.1.0"
    assert (snapshot / "sdfleet" / "__init__.py").read_text() == "SAYS = 'first'\n"
    assert sorted(file.name for file in releases.iterdir()) == ["1.1.0"]


def test_a_version_is_made_once(tmp_path: Path) -> None:
    checkout, releases = a_checkout(tmp_path / "checkout"), tmp_path / "releases"
    take_snapshot(checkout, releases, "1.1.0")
    with pytest.raises(DeploymentRefused, match=r"1\.1\.0 exists in .* and never changes"):
        take_snapshot(checkout, releases, "1.1.0")


@pytest.mark.parametrize("version", ["../1.1.0", "", "a/b", ".new-1"])
def test_a_version_is_no_path(tmp_path: Path, version: str) -> None:
    with pytest.raises(DeploymentRefused, match="does not serve as a name"):
        take_snapshot(a_checkout(tmp_path / "checkout"), tmp_path / "releases", version)


def test_a_snapshot_that_breaks_off_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take_snapshot(tmp_path / "nothing", tmp_path / "releases", "1.1.0")
    assert list((tmp_path / "releases").iterdir()) == []


def test_the_first_release_is_what_the_deployment_was_started_with(tmp_path: Path) -> None:
    keep_what_runs(tmp_path, "1.0.0")
    for package in ("sdfleet", "sdfleet_scheduler"):
        assert (tmp_path / "1.0.0" / package / "__init__.py").is_file()


def test_an_instance_of_a_release_runs_its_snapshot(tmp_path: Path) -> None:
    snapshot = take_snapshot(_ROOT, tmp_path, "1.1.0")
    code = "import sdfleet, sdfleet_scheduler.composition as c; print(sdfleet.__file__, c.__file__)"
    environment = {**os.environ, **environment_of(tmp_path, "1.1.0", {})}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert all(file.startswith(str(snapshot)) for file in ran.stdout.split())


def test_the_launcher_gives_each_instance_the_snapshot_of_its_own_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Mapping[str, str]] = []

    def start(module: str, *, environment: Mapping[str, str], log_file: Path) -> None:
        started.append(environment)

    monkeypatch.setattr(child, "start", start)
    deployment = DeploymentEnvironment("local", "tasks", "out", "in", "requests", "results", ())
    schedulers = {"test": SchedulerEnvironment(runtime="test")}
    launcher = SchedulerLauncher(
        deployment, schedulers, {}, region="us-east-1", logs=tmp_path, scratch=tmp_path, releases=tmp_path / "releases"
    )
    for release in ("1.1.0", "1.2.0"):
        take_snapshot(a_checkout(tmp_path / "checkout"), tmp_path / "releases", release)
    for instance, release in (("i-1", "1.1.0"), ("i-2", "1.2.0"), ("i-3", "1.0.0")):
        launched = launcher.launch("test", instance, release)
        launched._listener.close()
    assert [environment.get("PYTHONPATH") for environment in started] == [
        str(tmp_path / "releases" / "1.1.0"),
        str(tmp_path / "releases" / "1.2.0"),
        None,
    ]


def test_an_instance_of_a_release_without_a_snapshot_runs_the_checkout(tmp_path: Path) -> None:
    assert environment_of(tmp_path, "1.0.0", {"PYTHONPATH": "/mine"}) == {}


def test_a_path_of_the_users_own_comes_after_the_snapshot(tmp_path: Path) -> None:
    (tmp_path / "1.1.0").mkdir()
    assert environment_of(tmp_path, "1.1.0", {"PYTHONPATH": "/mine"}) == {
        "PYTHONPATH": f"{tmp_path / '1.1.0'}{os.pathsep}/mine"
    }
