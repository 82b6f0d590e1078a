"""Versions that are broken on purpose break as they say, and no other does."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from sdfleet.domain.task import RuntimeType, TaskType
from sdfleet_local import practice
from sdfleet_local.bad_versions import Fault, plant
from sdfleet_local.practice import BrokenRuntime
from sdfleet_local.snapshots import environment_of, take_snapshot
from sdfleet_scheduler.canary import canary_of
from sdfleet_scheduler.runtimes.base import Job, RuntimeFailure
from sdfleet_scheduler.runtimes.registry import RuntimeSettings, build_runtime

ROOT = Path(__file__).resolve().parents[2]
#: What a release's process does before it serves; the runtime that it would build is told.
PROBE = """
from sdfleet.domain.task import RuntimeType
import sdfleet_scheduler.composition as composition
print(type(composition.build_runtime(RuntimeType.TEST_PATTERN, None, None)).__name__)
"""


def settings_of(scratch: Path) -> RuntimeSettings:
    return RuntimeSettings(model=None, scratch=scratch, hang_after=timedelta(minutes=10))


def broken(fault: Fault, scratch: Path) -> BrokenRuntime:
    return BrokenRuntime(build_runtime(RuntimeType.TEST_PATTERN, None, settings_of(scratch)), fault)


def a_job(number: int = 1) -> Job:
    content = {"prompt": "a dog", "width": 64, "height": 64}
    return Job(f"task-{number}", "run", f"try-{number}", TaskType.TEXT_TO_IMAGE, content)


async def outcomes(runtime: BrokenRuntime, count: int) -> Counter[str]:
    """How so many jobs end: `good`, or a failure's kind."""
    found: Counter[str] = Counter()
    for number in range(count):
        try:
            await runtime.generate(a_job(number), lambda _: None)
        except RuntimeFailure as failure:
            found[failure.kind] += 1
        else:
            found["good"] += 1
    return found


def started(snapshots: Path, version: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environment_of(snapshots, version, {})}
    return subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_release_that_crashes_at_start_says_why_and_ends(tmp_path: Path) -> None:
    take_snapshot(ROOT, tmp_path, "1.2.0", change=functools.partial(plant, fault=Fault.CRASH_AT_START))
    ran = started(tmp_path, "1.2.0")
    assert ran.returncode == 1
    assert "crashes on purpose" in ran.stderr


def test_only_the_release_that_was_broken_is(tmp_path: Path) -> None:
    take_snapshot(ROOT, tmp_path, "1.1.0")
    take_snapshot(ROOT, tmp_path, "1.2.0", change=functools.partial(plant, fault=Fault.FAIL_TASKS))
    good, bad = started(tmp_path, "1.1.0"), started(tmp_path, "1.2.0")
    assert (good.stdout.strip(), bad.stdout.strip()) == ("TestPatternRuntime", "BrokenRuntime"), bad.stderr


async def test_one_that_hangs_at_readiness_is_never_ready(tmp_path: Path) -> None:
    assert not await broken(Fault.HANG_AT_READINESS, tmp_path).is_ready()


async def test_one_that_fails_tasks_fails_all_of_them(tmp_path: Path) -> None:
    runtime = broken(Fault.FAIL_TASKS, tmp_path)
    assert await runtime.is_ready()
    assert await outcomes(runtime, 3) == {"transient": 3}


async def test_its_first_picture_is_good_or_it_would_never_be_in_service(tmp_path: Path) -> None:
    runtime = build_runtime(RuntimeType.TEST_PATTERN, None, settings_of(tmp_path))
    make = canary_of(RuntimeType.TEST_PATTERN, BrokenRuntime(runtime, Fault.FAIL_TASKS), None)
    assert make is not None
    await make()


async def test_one_that_fails_some_tasks_fails_three_in_ten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chances = iter([0.29, 0.31, 0.9, 0.0])
    monkeypatch.setattr("random.random", lambda: next(chances))
    assert await outcomes(broken(Fault.FAIL_SOME_TASKS, tmp_path), 4) == {"transient": 2, "good": 2}


async def test_one_that_leaks_loses_its_server_and_a_task_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(practice, "LEAK_BYTES", 1024)
    monkeypatch.setattr(practice, "LEAK_LIMIT_BYTES", 4 * 1024)
    runtime = broken(Fault.LEAK, tmp_path)
    assert await outcomes(runtime, 5) == {"good": 4, "runtime_lost": 1}
    assert not await runtime.is_ready()
