from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from builders import NOON, a_failed_task, a_succeeded_task
from sdfleet.domain import names
from sdfleet.domain.task import Task
from sdfleet_scheduler import task_tally
from sdfleet_scheduler.task_tally import TaskTally

FLEET = names.fleet_name("mine", "sdruntime")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def succeeded(seconds: float) -> Task:
    return a_succeeded_task(started_at=NOON, finished_at=NOON + timedelta(seconds=seconds))


async def test_successes_are_one_line_with_each_tasks_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    tally = TaskTally("mine")
    for seconds in (1.5, 2.5, 3.5):
        tally.ended(succeeded(seconds), release="1.0.0")
    assert lines(capsys) == []
    tally.flush()
    (line,) = lines(capsys)
    assert (line[names.TASKS_SUCCEEDED], line[names.RUN_SECONDS]) == (3, [1.5, 2.5, 3.5])
    assert (line[names.FLEET_DIMENSION], line[names.RELEASE_DIMENSION]) == (FLEET, "1.0.0")
    of_fleet, of_release = line["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in of_release["Metrics"]] == [names.TASKS_SUCCEEDED]
    assert names.RUN_SECONDS in [metric["Name"] for metric in of_fleet["Metrics"]]


async def test_successes_wait_no_longer_than_they_may(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_tally, "WAIT_S", 0.01)
    tally = TaskTally("mine")
    for _ in range(2):
        tally.ended(succeeded(1), release=None)
        await asyncio.sleep(0.03)
    assert [line[names.TASKS_SUCCEEDED] for line in lines(capsys)] == [1, 1]


async def test_a_failure_goes_out_at_once_with_what_came_before(capsys: pytest.CaptureFixture[str]) -> None:
    tally = TaskTally("mine")
    tally.ended(succeeded(1), release="1.1.0")
    tally.try_failed(succeeded(1), release="1.1.0")
    (line,) = lines(capsys)
    assert (line[names.TASKS_SUCCEEDED], line[names.TRIES_FAILED]) == (1, 1)
    tally.ended(a_failed_task(), release="1.1.0")
    (line,) = lines(capsys)
    assert line[names.TASKS_FAILED] == 1
    tally.flush()
    assert lines(capsys) == []


async def test_what_others_ended_is_not_the_releases(capsys: pytest.CaptureFixture[str]) -> None:
    tally = TaskTally("mine")
    tally.ended(succeeded(1), release=None)
    tally.ended(succeeded(1), release="1.0.0")
    tally.flush()
    assert [line.get(names.RELEASE_DIMENSION) for line in lines(capsys)] == [None, "1.0.0"]


async def test_a_line_has_no_more_values_than_cloudwatch_takes(capsys: pytest.CaptureFixture[str]) -> None:
    tally = TaskTally("mine")
    for _ in range(250):
        tally.ended(succeeded(1), release=None)
    tally.flush()
    assert [len(line[names.RUN_SECONDS]) for line in lines(capsys)] == [100, 100, 50]
