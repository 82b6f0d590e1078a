"""The launch benchmark on a group that obeys, and one that does not; the boot on paper, as a command."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from click.testing import CliRunner

from sdfleet.aws.boot_log import BootReport, CloudWatchBootLog, read_event
from sdfleet.domain.scaling import Limits
from sdfleet.errors import DeploymentRefused, ServiceUnavailable
from sdfleet.fleet_ports import GroupInstance, GroupState
from sdfleet_cli.commands.launch_benchmark import LocalBootLog
from sdfleet_cli.launches import (
    TO_LAUNCH,
    TO_PICTURE,
    TO_SERVICE,
    Launch,
    LaunchBenchmark,
    by_phase,
    percentile,
)
from sdfleet_cli.main import main


class Group:
    """Its instances come 5 s after they are ordered, and are in service 60 s later. Its clock is the benchmark's."""

    def __init__(self, *, greatest: int = 5, dies: bool = False, comes: bool = True) -> None:
        self.now = 0.0
        self.desired = 1
        self.greatest = greatest
        self.ordered: dict[str, float] = {"i-old": -1000.0}
        self.removed: list[str] = []
        self.dies = dies
        self.comes = comes

    def look(self) -> GroupState:
        instances = []
        for instance_id, at in self.ordered.items():
            age = self.now - at
            is_dead = self.dies and age >= 30 and instance_id != "i-old"
            if age >= 5 and self.comes and not is_dead and instance_id not in self.removed:
                instances.append(GroupInstance(instance_id, age >= 65, "1"))
        return GroupState(
            desired=self.desired, limits=Limits(0, self.greatest), template_version="1", instances=tuple(instances)
        )

    def raise_to(self, desired: int) -> None:
        for _ in range(desired - self.desired):
            self.ordered[f"i-{len(self.ordered)}"] = self.now
        self.desired = desired

    def remove(self, instance_id: str) -> None:
        if instance_id in self.removed:
            raise ServiceUnavailable(f"There is no {instance_id}.")
        self.removed.append(instance_id)
        self.desired -= 1

    def pause(self, seconds: float) -> None:
        self.now += seconds


class Log:
    def __init__(self, report: BootReport | None) -> None:
        self.report = report

    def read(self, instance_id: str) -> BootReport | None:
        return self.report


def benchmark_of(group: Group, report: BootReport | None) -> LaunchBenchmark:
    return LaunchBenchmark(
        group, Log(report), patience=timedelta(seconds=300), monotonic=lambda: group.now, pause=group.pause
    )


def test_a_launch_is_measured_from_the_order_to_the_picture_and_ended() -> None:
    group = Group()
    (launch,) = benchmark_of(group, BootReport(55.0, {"models": 17.0})).measure(1, at_once=1)
    assert launch.seconds == {TO_LAUNCH: 5.0, TO_SERVICE: 65.0, "models": 17.0, TO_PICTURE: 55.0}
    assert group.removed == [launch.instance_id]
    assert group.desired == 1


def test_launches_come_one_after_the_other_or_together() -> None:
    group = Group()
    assert len(benchmark_of(group, None).measure(3, at_once=1)) == 3
    assert len(benchmark_of(Group(), None).measure(4, at_once=2)) == 4
    assert len(group.removed) == 3


def test_what_was_there_before_is_left_alone() -> None:
    group = Group()
    benchmark_of(group, None).measure(2, at_once=2)
    assert "i-old" not in group.removed


def test_an_instance_that_is_given_up_is_told_with_its_reason() -> None:
    group = Group(dies=True)
    (launch,) = benchmark_of(group, BootReport(None, {}, "There is no model x.")).measure(1, at_once=1)
    assert launch.failure == "There is no model x."
    # The group has ended it.
    assert group.removed == []


def test_a_fleet_without_room_launches_nothing() -> None:
    group = Group(greatest=2)
    with pytest.raises(DeploymentRefused, match="--at-once 1"):
        benchmark_of(group, None).measure(4, at_once=2)
    assert group.desired == 1


def test_what_never_comes_is_not_waited_for_for_ever() -> None:
    with pytest.raises(DeploymentRefused, match="After 300 s 1 of 1 instances"):
        benchmark_of(Group(comes=False), None).measure(1, at_once=1)


def test_an_instance_that_the_scaler_has_ended_meanwhile_is_no_error() -> None:
    group = Group()

    def refuse(instance_id: str) -> None:
        raise ServiceUnavailable(f"There is no {instance_id}.")

    group.remove = refuse  # type: ignore[method-assign]
    assert len(benchmark_of(group, None).measure(1, at_once=1)) == 1


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([4.0, 1.0, 3.0, 2.0], share) for share in (0.25, 0.5, 0.95)] == [1.0, 2.0, 4.0]


def test_only_launches_that_got_into_service_are_in_the_table() -> None:
    good, bad = Launch("i-1", {TO_SERVICE: 60.0}), Launch("i-2", {TO_LAUNCH: 5.0}, "no disk")
    assert by_phase([good, bad]) == {TO_SERVICE: [60.0]}


def a_log_client() -> tuple[Any, Stubber]:
    client = boto3.client("logs", region_name="us-west-2", aws_access_key_id="test", aws_secret_access_key="test")
    return client, Stubber(client)


def test_the_boots_end_is_found_in_the_fleets_log_group() -> None:
    client, answers = a_log_client()
    lines = ["Starting", '{"event": "boot.completed", "total_s": 61.5, "phases": {"disks": 1}}']
    asked = {"logGroupName": "/sdfleet/a/sd", "logStreamNamePrefix": "i-1/", "filterPattern": ANY}
    answers.add_response("filter_log_events", {"events": [{"message": line} for line in lines]}, asked)
    with answers:
        assert CloudWatchBootLog(client, "/sdfleet/a/sd").read("i-1") == BootReport(61.5, {"disks": 1})


def test_a_fleet_that_has_logged_nothing_has_no_report() -> None:
    client, answers = a_log_client()
    answers.add_client_error("filter_log_events", "ResourceNotFoundException")
    with answers:
        assert CloudWatchBootLog(client, "/sdfleet/a/sd").read("i-1") is None


def test_a_line_that_is_no_boots_end_is_no_report() -> None:
    assert read_event("no json") is None
    assert read_event('["boot.completed"]') is None
    assert read_event('{"event": "task.ended"}') is None


def test_an_instance_of_this_machine_tells_in_its_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("logs")
    (directory / "i-1.log").write_text('{"event": "boot.failed", "reason": "no model"}\n')
    assert LocalBootLog(directory).read("i-1") == BootReport(None, {}, "no model")
    assert LocalBootLog(directory).read("i-2") is None


def test_the_model_is_a_command_whose_phases_have_sources() -> None:
    ran = CliRunner().invoke(main, ["boot-model", "--instance-type", "g6.xlarge", "--json"])
    assert ran.exit_code == 0, ran.output
    (found,) = json.loads(ran.output)
    assert found["p50_s"] <= 75
    assert found["p95_s"] <= 120
    assert len(found["largest"]) == 3
    assert all(phase["source"] for phase in found["phases"])


def test_a_slower_volume_shows_in_the_commands_table() -> None:
    ran = CliRunner().invoke(main, ["boot-model", "--instance-type", "g5.xlarge", "--initialization-rate", "0"])
    assert ran.exit_code == 0
    assert "the largest are read, instance, system" in ran.output
