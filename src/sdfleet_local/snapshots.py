"""Releases on this machine: each is a copy of the source that its instances run, made once and never changed.

What `scripts/build-and-push-image.sh` makes of a container image on an account.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from sdfleet.domain.release import check_version
from sdfleet.errors import DeploymentRefused, LocalModeError

#: What an api-scheduler is made of; directories of modules, under a checkout's root.
_SOURCES = ("src/sdfleet", "scheduler/sdfleet_scheduler")


def _as_it_is(_: Path) -> None: ...


def take_snapshot(root: Path, releases: Path, version: str, *, change: Callable[[Path], None] = _as_it_is) -> Path:
    """Copy the checkout's scheduler and library under `releases`; returns the copy.

    `change` is called with the copy while it has no name yet.

    Raises:
        DeploymentRefused: the version is there already, or does not serve as a name.
    """
    check_version(version)
    target = releases / version
    if target.exists():
        raise refusal(version, str(target))
    releases.mkdir(parents=True, exist_ok=True)
    # Beside it, then under its name at once: a broken copy is never taken for a release.
    with tempfile.TemporaryDirectory(dir=releases, prefix=".new-") as unfinished:
        for source in _SOURCES:
            shutil.copytree(
                root / source,
                Path(unfinished) / "release" / Path(source).name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        change(Path(unfinished) / "release")
        try:
            (Path(unfinished) / "release").rename(target)
        except OSError as error:
            raise refusal(version, str(target)) from error
    return target


def keep_what_runs(releases: Path, version: str) -> None:
    """Copy the scheduler and the library that this process has under `releases`: the release that a deployment begins
    with stays what it was when the checkout goes on.
    """
    for source in _SOURCES:
        package = Path(source).name
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            raise LocalModeError(f"The package {package} is not installed; run scripts/bootstrap.sh.")
        # Compiled modules too, which hold as long as the times of their sources do: every instance starts at once.
        shutil.copytree(Path(found.origin).parent, releases / version / package)


def refusal(version: str, where: str) -> DeploymentRefused:
    return DeploymentRefused(f"{version} exists in {where} and never changes; choose another version.")


def environment_of(releases: Path, release: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """What an instance of this release is told beside its settings; nothing where it runs the checkout itself."""
    snapshot = releases / release
    if not release or not snapshot.is_dir():
        return {}
    # Before whatever the checkout's own environment brings.
    path = [str(snapshot), inherited.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, path))}
