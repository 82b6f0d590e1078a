"""Where files go in the model bucket: the directories of the seed documents and ComfyUI's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sdfleet.domain.models import DIRECTORIES, SEED_DIRECTORIES, SUFFIXES
from sdfleet.errors import DeploymentError

FOLDERS = tuple(
    sorted(
        {*SEED_DIRECTORIES, *(one for names in DIRECTORIES.values() for one in names)},
        key=lambda one: (one.lower(), one),
    )
)


@dataclass(frozen=True)
class Placed:
    """A file and its key in the bucket."""

    path: Path
    key: str

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def placed_files(paths: Sequence[Path], *, folder: str | None, name: str | None) -> list[Placed]:
    """Files go into `folder`; a directory is taken as it stands, its folders being the bucket's.

    Raises:
        DeploymentError: something has no place in the bucket.
    """
    if name is not None and (len(paths) != 1 or not paths[0].is_file()):
        raise DeploymentError("--name is for a single file.")
    found: list[Placed] = []
    for path in paths:
        if path.is_dir():
            found += _tree(path, folder)
        elif not path.is_file():
            raise DeploymentError(f"{path} does not exist.")
        elif folder is None:
            raise DeploymentError(f"{path} needs --folder, such as --folder Stable-diffusion.")
        else:
            found.append(Placed(path, f"{folder}/{_named(name or path.name)}"))
    if not found:
        raise DeploymentError(f"There are no model files in {', '.join(map(str, paths))}.")
    return found


def _tree(root: Path, folder: str | None) -> list[Placed]:
    placed = []
    for file in sorted(Path(parent) / name for parent, _, names in os.walk(root) for name in names):
        relative = file.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if folder is None and relative.parts[0] not in FOLDERS:
            raise DeploymentError(
                f"{file} has no place in the bucket: its folder must be one of {', '.join(FOLDERS)}; move it, or name "
                "one with --folder."
            )
        # What is no model (a preview, a description) helps nobody there.
        if file.suffix.lower() in SUFFIXES:
            placed.append(Placed(file, "/".join((folder, relative.as_posix()) if folder else relative.parts)))
    return placed


def _named(name: str) -> str:
    if not name.lower().endswith(SUFFIXES):
        raise DeploymentError(
            f"{name} does not end in {', '.join(SUFFIXES)}; runtimes would not find it. Give it the name that it "
            f"should have with --name {name}.ckpt or --name {name}.safetensors."
        )
    return name
