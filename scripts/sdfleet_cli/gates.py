"""Everything that must be green: the gates one by one, then the tests. Run by scripts/test.sh."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sdfleet_cli import component_documents as documents

#: Architecture, Tests: a file this long is two files.
MAX_LINES = 400
#: Names that say nothing about what may live in a file (style, Names).
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "manager", "data", "info"})
#: scripts/*.sh only hand over to Python.
MAX_SCRIPT_LINES = 15
#: Their arguments are many files.
_OF_FILES = frozenset({"shellcheck", "hadolint"})
#: Processes that share the tests; `tests/conftest.py` says which stay together.
PARALLEL = ("-n", "3", "--dist", "loadgroup", "--no-loadscope-reorder")


@dataclass(frozen=True)
class Tool:
    """A gate that is another program, started from this environment."""

    name: str
    arguments: tuple[str, ...]

    @property
    def path(self) -> Path:
        return Path(sys.executable).parent / self.name


@dataclass(frozen=True)
class Outcome:
    name: str
    is_passed: bool
    seconds: float
    note: str = ""


def main(pytest_arguments: list[str]) -> int:
    root = Path(os.environ.get("SDFLEET_ROOT", Path.cwd()))
    scripts = tuple(str(file.relative_to(root)) for file in _tracked(root) if _is_shell(file))
    dockerfiles = tuple(str(file.relative_to(root)) for file in _tracked(root) if file.name == "Dockerfile")
    gates: list[Tool | Callable[[Path], list[str]]] = [
        Tool("ruff", ("check", ".")),
        Tool("ruff", ("format", "--check", ".")),
        Tool("lint-imports", ()),
        Tool("shellcheck", scripts),
        Tool("hadolint", dockerfiles),
        component_documents,
        long_files,
        meaningless_names,
        Tool("pytest", (*PARALLEL, *pytest_arguments)),
    ]
    # Without a cache mypy reads CDK's types for minutes, on one core.
    with ThreadPoolExecutor(max_workers=1) as beside:
        types = beside.submit(run_tool, Tool("mypy", ()), root, is_beside=True)
        outcomes = [run_tool(gate, root) if isinstance(gate, Tool) else _inspect(gate, root) for gate in gates]
        outcomes.append(types.result())
    print("\nGates:")  # noqa: T201  a command's output
    for outcome in outcomes:
        print(f"  {'ok  ' if outcome.is_passed else 'FAIL'}  {outcome.name} ({outcome.seconds:.1f} s){outcome.note}")  # noqa: T201
    return 0 if all(outcome.is_passed for outcome in outcomes) else 1


def run_tool(tool: Tool, root: Path, *, is_beside: bool = False) -> Outcome:
    """`is_beside`: others print meanwhile, so what it says comes in one piece at its end."""
    words = [tool.name, *(word for word in tool.arguments if tool.name not in _OF_FILES)]
    name = " ".join(words)
    if not tool.path.exists():
        # Locally a convenience, in CI a hole.
        is_ci = os.environ.get("CI", "").lower() == "true"
        return Outcome(name, not is_ci, 0.0, f"  {tool.name} is not installed" + ("" if is_ci else "; skipped"))
    if not is_beside:
        print(f"\n== {name}", flush=True)  # noqa: T201
    began = time.monotonic()
    output = subprocess.PIPE if is_beside else None
    ended = subprocess.run([tool.path, *tool.arguments], cwd=root, check=False, stdout=output, text=True)
    if is_beside:
        print(f"\n== {name}\n{ended.stdout}", flush=True)  # noqa: T201
    return Outcome(name, ended.returncode == 0, time.monotonic() - began)


def _inspect(gate: Callable[[Path], list[str]], root: Path) -> Outcome:
    name = gate.__name__.replace("_", " ")
    print(f"\n== {name}", flush=True)  # noqa: T201
    began = time.monotonic()
    complaints = gate(root)
    for complaint in complaints:
        print(complaint)  # noqa: T201
    return Outcome(name, not complaints, time.monotonic() - began)


def component_documents(root: Path) -> list[str]:
    """The machine image's recipe, for which Image Builder has no linter."""
    return documents.complaints(root, documents.documents(root))


def long_files(root: Path) -> list[str]:
    """Python files over `MAX_LINES`, scripts over `MAX_SCRIPT_LINES`."""
    complaints = []
    for file in _tracked(root):
        is_script = file.parent == root / "scripts" and file.suffix == ".sh"
        limit = MAX_LINES if file.suffix == ".py" else MAX_SCRIPT_LINES if is_script else None
        if limit is not None:
            count = len(file.read_text().splitlines())
            if count > limit:
                complaints.append(f"{file.relative_to(root)}: {count} lines; {limit} are allowed, make it two files.")
    return complaints


def meaningless_names(root: Path) -> list[str]:
    """Python files and packages whose name is one of `FORBIDDEN_NAMES`."""
    return [
        f"{file.relative_to(root)}: {name!r} says nothing; name it for what may live in it."
        for file in _tracked(root)
        if file.suffix == ".py"
        for name in (*file.relative_to(root).parent.parts, file.stem)
        if name in FORBIDDEN_NAMES
    ]


def _is_shell(file: Path) -> bool:
    if file.suffix == ".sh":
        return True
    if file.suffix:
        return False
    with file.open("rb") as stream:
        return stream.readline().startswith((b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash"))


def _tracked(root: Path) -> Iterator[Path]:
    """What git knows or would know, so that caches and environments are left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in sorted(filter(None, listed.split("\0"))):
        if (root / name).is_file():
            yield root / name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
