"""`python -m sdfleet_cli.component_documents [FILE ...]`: checks component documents of EC2 Image Builder, for which
there is no linter: the schema in `ami/imagebuilder`, shellcheck on their commands, and what neither can see.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from sdfleet_cli.console import checkout_root

DIRECTORY = Path("ami") / "imagebuilder"
SCHEMA = DIRECTORY / "component.schema.json"
#: What a document may have inline (Image Builder API, CreateComponent, data).
MAX_BYTES = 16_000
_FIRST_LINE = "set -euo pipefail"
#: What the service replaces before a command runs.
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)


def documents(root: Path) -> list[Path]:
    return sorted((root / DIRECTORY).glob("components/*.yaml")) + sorted((root / DIRECTORY).glob("tests/*.yaml"))


def complaints(root: Path, files: Sequence[Path]) -> list[str]:
    """One a line, by file; none: all are sound."""
    validator = Draft202012Validator(json.loads((root / SCHEMA).read_text(encoding="utf-8")))
    return [f"{file}: {complaint}" for file in files for complaint in _of_file(file, validator)]


def _of_file(file: Path, validator: Draft202012Validator) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    if len(text.encode()) > MAX_BYTES:
        yield f"{len(text.encode())} bytes; Image Builder takes {MAX_BYTES}"
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        yield f"no YAML: {' '.join(str(error).split())}"
        return
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    yield from found
    if not found:
        yield from _names(document)
        yield from _placeholders(document, text)
        for step in _steps(document):
            if step["action"] == "ExecuteBash":
                yield from _commands(step)


def _names(document: dict[str, Any]) -> Iterator[str]:
    """User Guide: unique in the document, and in the phase."""
    phases = Counter(phase["name"] for phase in document["phases"])
    yield from (f"two phases are called {name}" for name, count in phases.items() if count > 1)
    for phase in document["phases"]:
        steps = Counter(step["name"] for step in phase["steps"])
        yield from (f"two steps of {phase['name']} are called {name}" for name, count in steps.items() if count > 1)


def _placeholders(document: dict[str, Any], text: str) -> Iterator[str]:
    """The service takes every double brace for its own, a template of docker's too."""
    known = {name for parameter in document.get("parameters", ()) for name in parameter}
    used = set(_PLACEHOLDER.findall(text))
    yield from (f"{{{{ {name} }}}} is no parameter of it" for name in sorted(used - known))
    yield from (f"the parameter {name} is not used" for name in sorted(known - used))


def _steps(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for phase in document["phases"]:
        yield from phase["steps"]


def _commands(step: dict[str, Any]) -> Iterator[str]:
    script: str = step["inputs"]["commands"][0]
    if not script.startswith(f"{_FIRST_LINE}\n"):
        yield f"{step['name']}: begins without `{_FIRST_LINE}`; a failed command would go unnoticed"
    checker = Path(sys.executable).parent / "shellcheck"
    if not checker.exists():
        # Locally a convenience, in CI a hole.
        if os.environ.get("CI", "").lower() == "true":
            yield f"{step['name']}: shellcheck is not installed"
        return
    # A word stands for what the service puts there.
    given = _PLACEHOLDER.sub("1", script)
    ran = subprocess.run(
        [checker, "--shell=bash", "--format=gcc", "-"], input=given, capture_output=True, text=True, check=False
    )
    yield from (f"{step['name']}: {line.removeprefix('-:')}" for line in ran.stdout.splitlines())


def main(arguments: Sequence[str]) -> int:
    root = checkout_root()
    files = [Path(name) for name in arguments] or documents(root)
    found = complaints(root, files)
    for complaint in found:
        print(complaint)  # noqa: T201  a command's output
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
