"""Releases on this machine: copies of the source, and instances that run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdfleet.errors import DeploymentRefused
from sdfleet_local.snapshots import environment_of, take_snapshot

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


def test_an_instance_of_a_release_runs_its_snapshot(tmp_path: Path) -> None:
    snapshot = take_snapshot(_ROOT, tmp_path, "1.1.0")
    code = "import sdfleet, sdfleet_scheduler.composition as c; print(sdfleet.__file__, c.__file__)"
    environment = {**os.environ, **environment_of(tmp_path, "1.1.0", {})}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert all(file.startswith(str(snapshot)) for file in ran.stdout.split())


def test_an_instance_of_a_release_without_a_snapshot_runs_the_checkout(tmp_path: Path) -> None:
    assert environment_of(tmp_path, "1.0.0", {"PYTHONPATH": "/mine"}) == {}


def test_a_path_of_the_users_own_comes_after_the_snapshot(tmp_path: Path) -> None:
    (tmp_path / "1.1.0").mkdir()
    assert environment_of(tmp_path, "1.1.0", {"PYTHONPATH": "/mine"}) == {
        "PYTHONPATH": f"{tmp_path / '1.1.0'}{os.pathsep}/mine"
    }
