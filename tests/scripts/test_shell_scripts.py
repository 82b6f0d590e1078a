from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from sdfleet_cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*ROOT.glob("*.sh"), *ROOT.glob("scripts/*.sh"), ROOT / ".ci" / "run"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_only_hands_over(script: Path) -> None:
    text = script.read_text()
    assert len(text.splitlines()) <= 15
    assert "exec " in text
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_script_hands_over_to_explains_itself(script: Path) -> None:
    for command in re.findall(r"sdfleet_cli\.main (\S+)", script.read_text()):
        result = CliRunner().invoke(main, [command, "--help"])
        assert result.exit_code == 0
        assert result.output.startswith("Usage: ")


@pytest.mark.parametrize("name", ["test", "bootstrap"])
def test_a_script_without_a_command_explains_itself(name: str) -> None:
    said = subprocess.run([ROOT / "scripts" / f"{name}.sh", "--help"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(f"Usage: {name}.sh")


def a_checkout(directory: Path) -> Path:
    """The scripts in a checkout whose environment only says how it was called."""
    root = directory / "a check out"
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("deploy.sh", "destroy.sh"):
        shutil.copy(ROOT / name, root / name)
    (root / "scripts" / "bootstrap.sh").write_text("#!/bin/sh\n")
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|" "$SDFLEET_ROOT" "$@"\n')
    python.chmod(0o755)
    return root


@pytest.mark.parametrize("name", ["deploy", "destroy"])
def test_a_script_works_from_anywhere_and_passes_its_arguments_on(tmp_path: Path, name: str) -> None:
    root = a_checkout(tmp_path)
    result = subprocess.run(
        [root / f"{name}.sh", "--local", "--config", "a file"], cwd="/", capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{root}|-m|sdfleet_cli.main|{name}|--local|--config|a file|"


def test_without_a_python_that_is_new_enough_the_error_says_so(tmp_path: Path) -> None:
    root = a_checkout(tmp_path)
    shutil.copy(ROOT / "scripts" / "bootstrap.sh", root / "scripts" / "bootstrap.sh")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname"):
        found = shutil.which(tool)
        assert found is not None
        (tools / tool).symlink_to(found)
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = subprocess.run(
        [root / "deploy.sh", "--local"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: Python 3.11 or later is needed")
    assert len(result.stderr.splitlines()) == 1
