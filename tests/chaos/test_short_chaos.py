"""The fault tester itself, by its script's command: a short storm over the whole service."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

#: Start, storm, the last lost lease and the end, on a machine that is busy with other tests.
WITHIN_S = 150


def run_chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sdfleet_cli.main", "chaos", *arguments],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def remains() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("sdfleet-chaos-*"))


def test_a_storm_loses_nothing_and_doubles_nothing() -> None:
    before = remains()
    faults = ("--kills", "2", "--sigterms", "1", "--notices", "2", "--runtime-faults", "5", "--aws-outages", "1")
    leaving = ("--rebalances", "1", "--scale-ins", "1", "--drains", "1")
    traffic = ("--tasks", "60", "--instances", "3", "--longest-job", "0.8", "--cancels", "2", "--poisons", "4")
    # A lease that ends soon: a killed instance's last task decides how long this takes.
    bounds = ("--seed", "1", "--duration", "8", "--visibility", "9", "--patience", "60", "--json")
    result = run_chaos(*traffic, *faults, *leaving, *bounds)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    account = report["account"]
    assert account["accepted"] == 60
    assert account["succeeded"] + account["cancelled"] + sum(account["failed"].values()) == 60
    assert (account["lost"], account["duplicated"], account["unexpected"]) == ([], [], [])
    # On a busy machine one of them may find no instance that works.
    assert report["struck"]["kill"] >= 1
    assert report["struck"]["kill"] + report["missed"].get("kill", 0) == 2
    assert sum(report["aws_faults"].values()) > 0
    assert remains() == before


def test_a_dry_run_prints_the_schedule_and_starts_nothing() -> None:
    first, second = (run_chaos("--dry-run", "--tasks", "100", "--seed", "3") for _ in range(2))
    assert first.stdout == second.stdout
    assert "kill" in first.stdout


@pytest.mark.parametrize("wrong", [("--tasks", "0"), ("--aws-error-share", "2")])
def test_wrong_options_are_a_usage_error(wrong: tuple[str, str]) -> None:
    assert run_chaos(*wrong).returncode == 2
