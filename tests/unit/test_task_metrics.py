from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders import NOON, a_succeeded_task, a_task
from sdfleet.domain import names
from sdfleet.domain.task import TaskStatus
from sdfleet.telemetry import metrics, task_metrics


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def test_an_ended_task_says_how_it_ended_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    task = replace(
        a_succeeded_task(), started_at=NOON + timedelta(seconds=2), finished_at=NOON + timedelta(seconds=5.5)
    )
    task_metrics.ended(task, "mine")
    document = emitted(capsys)
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "sdfleet"
    assert directive["Dimensions"] == [[names.FLEET_DIMENSION]]
    assert document[names.FLEET_DIMENSION] == names.fleet_name("mine", "sdruntime")
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == {names.TASKS_SUCCEEDED: "Count", names.QUEUE_SECONDS: "Seconds", names.RUN_SECONDS: "Seconds"}
    assert {name: document[name] for name in units} == {
        names.TASKS_SUCCEEDED: 1,
        names.QUEUE_SECONDS: 2.0,
        names.RUN_SECONDS: 3.5,
    }


def test_a_task_that_never_started_has_no_times(capsys: pytest.CaptureFixture[str]) -> None:
    task_metrics.ended(a_task(status=TaskStatus.CANCELLED, finished_at=NOON), "mine")
    document = emitted(capsys)
    assert document[names.TASKS_CANCELLED] == 1
    assert names.QUEUE_SECONDS not in document


def test_a_log_line_can_carry_a_metric() -> None:
    fields = metrics.embedded({names.REQUESTS_ACCEPTED: 1}, metrics.of_deployment("mine"))
    assert fields[names.REQUESTS_ACCEPTED] == 1
    assert fields["Deployment"] == "mine"
    assert fields["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Deployment"]]
