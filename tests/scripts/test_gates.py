from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sdfleet_cli import gates
from sdfleet_cli.gates import Tool, long_files, meaningless_names, run_tool


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("ignored/\n")
    return tmp_path


def write(root: Path, name: str, lines: int = 1) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#\n" * lines)


def test_a_file_of_too_many_lines_is_named(checkout: Path) -> None:
    write(checkout, "src/long.py", gates.MAX_LINES + 1)
    write(checkout, "src/fits.py", gates.MAX_LINES)
    write(checkout, "ignored/long.py", 1000)
    write(checkout, "scripts/long.sh", gates.MAX_SCRIPT_LINES + 1)
    assert [line.split(":")[0] for line in long_files(checkout)] == ["scripts/long.sh", "src/long.py"]


@pytest.mark.parametrize("name", ["src/utils.py", "src/common/queue.py", "src/sdfleet/helpers.py"])
def test_a_name_that_says_nothing_is_named(checkout: Path, name: str) -> None:
    write(checkout, name)
    write(checkout, "src/common_ground.py")
    assert [line.split(":")[0] for line in meaningless_names(checkout)] == [name]


@pytest.mark.parametrize(("ci", "is_passed"), [("", True), ("true", False)])
def test_a_missing_tool_is_skipped_locally_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, is_passed: bool
) -> None:
    monkeypatch.setenv("CI", ci)
    outcome = run_tool(Tool("no-such-tool", ()), tmp_path)
    assert outcome.is_passed is is_passed
    assert "is not installed" in outcome.note
