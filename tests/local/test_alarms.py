"""The alarms of a rollout, from what instances write into their logs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import NOON
from sdfleet.aws.trial_definitions import definitions
from sdfleet.domain import names
from sdfleet.domain.trial import TrialLimits
from sdfleet_local.alarms import WINDOW, FleetAlarms
from sdfleet_local.alarms_metrics import LogMetrics
from sdfleet_local.refresh_run import AlarmState
from sdfleet_local.scaling_alarms import Alarm
from sdfleet_local.scaling_errors import NotEmulated

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
        #: What a rollout to 1.1.0 puts.
        limits = TrialLimits("arn:aws:sns:us-east-1:123456789012:alarms", failure_percentage=10, dead_letters=2)
        self.put = [
            Alarm.of_answer({**one, "AlarmArn": f"arn:{one['AlarmName']}", "StateValue": "OK"})
            for one in definitions("local", "sd", "1.1.0", limits)
        ]
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
        states = self._alarms.evaluate(self.now, self.put)
        return {name for name, state in states.items() if state is AlarmState.ALARM}


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


@pytest.mark.parametrize(
    ("metric", "limit", "alarm"), [(names.DEAD_LETTERS, 2, DEAD_LETTERS), (names.INSTANCES_UNREADY, 1, UNREADY)]
)
def test_so_many_of_these_of_the_release_on_trial_ring(tmp_path: Path, metric: str, limit: int, alarm: str) -> None:
    fleet = Fleet(tmp_path)
    fleet.count(metric, limit - 1)
    assert fleet.ringing() == set()
    fleet.count(metric, 1)
    assert fleet.ringing() == {alarm}


def test_without_a_rollout_nothing_is_on_trial(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.put = []
    for metric in (names.TRIES_FAILED, names.DEAD_LETTERS, names.INSTANCES_UNREADY):
        fleet.count(metric, 9)
    assert fleet.ringing() == set()


def test_an_alarm_of_another_kind_is_not_guessed_at(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.put = [replace(one, queries=one.queries[1:]) for one in fleet.put]
    with pytest.raises(NotEmulated, match="one expression"):
        fleet.ringing()


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
