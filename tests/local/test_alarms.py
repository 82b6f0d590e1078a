"""The alarms of a rollout, from what instances write into their logs."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from builders import NOON
from sdfleet.domain import names
from sdfleet_local.alarms import WINDOW, FleetAlarms
from sdfleet_local.alarms_metrics import LogMetrics
from sdfleet_local.refresh_run import AlarmState

FAILURES, UNREADY, DEAD_LETTERS, NO_INSTANCE = names.rollout_alarms("local", "sd")
FLEET = {names.FLEET_DIMENSION: names.fleet_name("local", "sd")}
TRIAL = {**FLEET, names.RELEASE_DIMENSION: "1.1.0"}
SECOND = timedelta(seconds=1)


class Fleet:
    """A fleet whose instances write into `directory`."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "i-1.log"
        self.now = NOON
        self.waiting = 0
        self.in_service = 1
        self._metrics = LogMetrics(directory)
        self._alarms = FleetAlarms(
            "local", "sd", self._metrics, waiting=lambda: self.waiting, in_service=lambda: self.in_service
        )

    def count(self, metric: str, value: int, dimensions: dict[str, str] | None = None) -> None:
        dimensions = dimensions or TRIAL
        directive = {"Namespace": names.METRIC_NAMESPACE, "Dimensions": [[*dimensions]], "Metrics": [{"Name": metric}]}
        head = {"Timestamp": int(self.now.timestamp() * 1000), "CloudWatchMetrics": [directive]}
        self.write(json.dumps({"_aws": head, metric: value, **dimensions}) + "\n")

    def write(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text)

    def ringing(self) -> set[str]:
        self._metrics.read(self.now)
        return {name for name, state in self._alarms.evaluate(self.now, "1.1.0").items() if state is AlarmState.ALARM}


def test_a_tenth_of_the_trials_runs_may_not_fail(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_SUCCEEDED, 19)
    fleet.count(names.TRIES_FAILED, 1)
    assert fleet.ringing() == set()
    fleet.count(names.TRIES_FAILED, 2)
    assert fleet.ringing() == {FAILURES}


def test_a_fifth_of_the_fleet_does_not_hide_in_the_whole(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_SUCCEEDED, 992, FLEET)
    fleet.count(names.TASKS_SUCCEEDED, 6)
    fleet.count(names.TRIES_FAILED, 2)
    fleet.count(names.TRIES_FAILED, 2, FLEET)
    assert fleet.ringing() == {FAILURES}


def test_what_fails_everywhere_is_not_the_trials_fault(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_SUCCEEDED, 6)
    fleet.count(names.TRIES_FAILED, 4)
    fleet.count(names.TASKS_SUCCEEDED, 30, FLEET)
    fleet.count(names.TRIES_FAILED, 20, FLEET)
    assert fleet.ringing() == set()


def test_one_failure_of_two_tasks_is_no_rate(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_SUCCEEDED, 1)
    fleet.count(names.TRIES_FAILED, 1)
    assert fleet.ringing() == set()


def test_failures_are_forgotten_after_a_while(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TRIES_FAILED, 9)
    assert fleet.ringing() == {FAILURES}
    fleet.now += WINDOW + SECOND
    assert fleet.ringing() == set()


@pytest.mark.parametrize("other", [{names.RELEASE_DIMENSION: "1.0.0"}, {names.FLEET_DIMENSION: "local-other"}])
def test_the_failures_of_others_are_not_the_trials(tmp_path: Path, other: dict[str, str]) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TRIES_FAILED, 9, {**TRIAL, **other})
    assert fleet.ringing() == set()


@pytest.mark.parametrize(("metric", "alarm"), [(names.DEAD_LETTERS, DEAD_LETTERS), (names.INSTANCES_UNREADY, UNREADY)])
def test_one_of_these_of_the_release_on_trial_rings(tmp_path: Path, metric: str, alarm: str) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(metric, 1)
    assert fleet.ringing() == {alarm}


def test_work_that_waits_for_a_minute_without_an_instance_rings(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.waiting, fleet.in_service = 3, 0
    assert fleet.ringing() == set()
    fleet.now += WINDOW
    assert fleet.ringing() == {NO_INSTANCE}
    fleet.in_service = 1
    assert fleet.ringing() == set()


def test_half_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TRIES_FAILED, 9)
    line = fleet.log.read_text()
    fleet.log.write_text(line[:40])
    assert fleet.ringing() == set()
    fleet.write(line[40:])
    assert fleet.ringing() == {FAILURES}


def test_other_lines_are_passed_over(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.write('Traceback: "_aws"\n{"_aws": {}}\n{"event": "task.ended"}\n')
    assert fleet.ringing() == set()
