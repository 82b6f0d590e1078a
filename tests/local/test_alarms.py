"""The alarms of a rollout, from what instances write into their logs."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from builders import NOON
from sdfleet.domain import names
from sdfleet_local.alarms import WINDOW, FleetAlarms
from sdfleet_local.alarms_metrics import LogMetrics
from sdfleet_local.refresh_run import AlarmState

FAILURES, NO_INSTANCE, DEAD_LETTERS = names.rollout_alarms("local", "sd")
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
        dimensions = dimensions or {names.FLEET_DIMENSION: names.fleet_name("local", "sd")}
        directive = {"Namespace": names.METRIC_NAMESPACE, "Dimensions": [[*dimensions]], "Metrics": [{"Name": metric}]}
        head = {"Timestamp": int(self.now.timestamp() * 1000), "CloudWatchMetrics": [directive]}
        self.write(json.dumps({"_aws": head, metric: value, **dimensions}) + "\n")

    def write(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text)

    def ringing(self) -> set[str]:
        self._metrics.read(self.now)
        return {name for name, state in self._alarms.evaluate(self.now).items() if state is AlarmState.ALARM}


def test_a_tenth_of_the_tasks_may_not_fail(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_SUCCEEDED, 19)
    fleet.count(names.TASKS_FAILED, 1)
    assert fleet.ringing() == set()
    fleet.count(names.TASKS_FAILED, 2)
    assert fleet.ringing() == {FAILURES}


def test_one_failure_of_two_tasks_is_no_rate(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_SUCCEEDED, 1)
    fleet.count(names.TASKS_FAILED, 1)
    assert fleet.ringing() == set()


def test_failures_are_forgotten_after_a_while(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_FAILED, 9)
    assert fleet.ringing() == {FAILURES}
    fleet.now += WINDOW + SECOND
    assert fleet.ringing() == set()


def test_another_fleets_failures_are_not_ours(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.TASKS_FAILED, 9, {names.FLEET_DIMENSION: names.fleet_name("local", "other")})
    assert fleet.ringing() == set()


def test_a_dead_letter_rings(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(names.DEAD_LETTERS, 1, {names.DEPLOYMENT_DIMENSION: "local"})
    assert fleet.ringing() == {DEAD_LETTERS}


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
    fleet.count(names.TASKS_FAILED, 9)
    line = fleet.log.read_text()
    fleet.log.write_text(line[:40])
    assert fleet.ringing() == set()
    fleet.write(line[40:])
    assert fleet.ringing() == {FAILURES}


def test_other_lines_are_passed_over(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.write('Traceback: "_aws"\n{"_aws": {}}\n{"event": "task.ended"}\n')
    assert fleet.ringing() == set()
