from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from builders import NOON
from sdfleet.domain.fleet_observation import ManualSetting
from sdfleet.domain.scaler_record import BootFailures, ScalerRecord
from sdfleet.domain.scaling import Limits
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.scaled_group import MemoryScaledGroup, MemorySchedule
from sdfleet.memory.scaler_store import MemoryScalerStore
from sdfleet.ports import QueueCounts
from sdfleet_cli.commands import scale as command
from sdfleet_cli.main import main
from sdfleet_lambdas.manual_scaling import ManualScaling
from sdfleet_local.scaling_view import FleetView, InstanceView, lines, summary


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> ManualScaling:
    group = MemoryScaledGroup(limits=Limits(1, 5), desired=2)
    made = ManualScaling("sdruntime", group, MemoryScalerStore(), MemorySchedule(), FakeClock(NOON))
    monkeypatch.setattr(command, "find_fleet", lambda deployment_id, runtime, region: made)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["scale", "sdfleet", "sdruntime", *arguments])


def test_more_instances_are_asked_for_at_once_and_the_alarms_keep_still(fleet: ManualScaling) -> None:
    result = run("4")
    assert result.exit_code == 0
    assert "has 4 instances until --release" in result.output
    state = fleet.group.look()
    assert (state.desired, state.is_suspended, fleet.schedule.is_on) == (4, True, True)
    assert fleet.record().manual == ManualSetting(4)


def test_fewer_are_left_to_the_scaler_which_waits_for_their_tasks(fleet: ManualScaling) -> None:
    run("1")
    assert fleet.group.look().desired == 2
    assert fleet.record().manual == ManualSetting(1)


def test_a_number_for_a_while_has_an_end(fleet: ManualScaling) -> None:
    before = datetime.now(UTC)
    run("3", "--for", "2h")
    manual = fleet.record().manual
    assert manual is not None
    assert manual.until is not None
    assert timedelta(hours=2) <= manual.until - before < timedelta(hours=2, minutes=1)


def test_the_queue_decides_again_after_a_release(fleet: ManualScaling) -> None:
    run("4")
    assert run("--release").exit_code == 0
    assert (fleet.record().manual, fleet.group.look().is_suspended) == (None, False)


def test_an_operators_word_forgives_failures_at_boot(fleet: ManualScaling) -> None:
    fleet.store.save("sdruntime", replace(ScalerRecord(), failures=BootFailures("1", 3, NOON)))
    run("--release")
    assert fleet.record().failures is None


@pytest.mark.parametrize("number", ["0", "6"])
def test_a_number_outside_the_limits_is_refused_with_the_limits(fleet: ManualScaling, number: str) -> None:
    result = run(number)
    assert result.exit_code == 3
    assert "1 to 5 instances" in result.output
    assert fleet.record().manual is None


def test_a_dry_run_changes_nothing(fleet: ManualScaling) -> None:
    assert "would have 4 instances" in run("4", "--dry-run").output
    assert "Would let" in run("--release", "--dry-run").output
    assert (fleet.group.look().desired, fleet.record()) == (2, ScalerRecord())


def test_without_a_number_it_says_what_holds(fleet: ManualScaling) -> None:
    assert "is asked for 2 instances, by its queue" in run().output
    run("4")
    assert "has 4 instances until --release, by an operator" in run().output


@pytest.mark.parametrize("arguments", [("4", "--release"), ("--for", "2h"), ("--for", "2h", "--release")])
def test_options_that_contradict_each_other_are_refused(fleet: ManualScaling, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
    assert fleet.record() == ScalerRecord()


def test_the_watch_shows_queue_instances_and_why() -> None:
    view = FleetView(
        "sdruntime",
        QueueCounts(visible=3, in_flight=1),
        desired=2,
        least=0,
        greatest=5,
        instances=(InstanceView("i-1", "InService", "1.0.0", 1), InstanceView("i-2", "Pending", "1.0.0", None)),
        record=ScalerRecord(awake_until=NOON + timedelta(minutes=1), reason="backlog", task_s=1.25, boot_s=61.0),
    )
    shown = "\n".join(lines([view], now=NOON))
    assert "2 of 2 wanted (0 to 5)" in shown
    assert "awake: raises it: too much waits; 1.2 s a task, 61 s to boot" in shown
    assert "1 in hand" in shown
    assert "starting" in shown
    assert summary([view]) == "sdruntime: 3 wait, 1 in hand, 1 in service of 2 wanted"
