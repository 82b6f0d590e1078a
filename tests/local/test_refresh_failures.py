"""Auto Scaling's rules of refreshes that fail, and of alarms; the sources are named in `test_refresh_rules`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from refresh_bench import ROLLING, RefreshBench
from sdfleet_local.refresh_run import LONGEST, PATIENCE, AlarmState
from sdfleet_local.scaling_errors import (
    ValidationError,
)

CANARY = replace(ROLLING, checkpoints=(20, 100), checkpoint_delay=timedelta(minutes=15))
BACK = replace(CANARY, auto_rollback=True)
WATCHED = replace(BACK, alarms=("failures",))


# Failing


def test_new_instances_that_die_fail_the_refresh_after_an_hour_and_capacity_stays() -> None:
    """Guide, One-hour timeout: "the new instances do not pass their health checks [...] keeps retrying for an hour"."""
    bench = RefreshBench(3)
    bench.launcher.broken.add("1.1.0")
    bench.start()
    bench.settle()
    bench.pass_by(PATIENCE - timedelta(minutes=5))
    assert bench.status == "InProgress"
    bench.pass_by(timedelta(minutes=5))
    assert bench.status == "Failed"
    assert "it hurts" in bench.refresh.reason
    assert bench.fewest == 3
    bench.pass_by(timedelta(minutes=1))
    assert bench.releases == {"1.0.0": 3}
    assert bench.group.describe_group().configuration.template.version == "1"


def test_with_auto_rollback_a_failure_brings_the_former_configuration_back() -> None:
    """Rollback: "Amazon EC2 Auto Scaling automatically reverses what was deployed if the instance refresh fails"."""
    bench = RefreshBench(5)
    bench.start(BACK)
    bench.settle()
    bench.sound.discard("1.1.0")
    bench.pass_by(CANARY.checkpoint_delay)
    bench.pass_by(PATIENCE)
    assert bench.status == "RollbackSuccessful"
    assert bench.releases == {"1.0.0": 5}
    assert bench.fewest == 5
    assert bench.kinds == ["Started", "Checkpoint Reached", "Rollback Started", "Rollback Succeeded"]


def test_what_was_replaced_before_a_failure_stays_without_auto_rollback() -> None:
    """Checkpoints: "If you cancel the operation or it fails before reaching the last checkpoint, any instances that
    were already replaced are not rolled back".
    """
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    bench.sound.discard("1.1.0")
    bench.pass_by(CANARY.checkpoint_delay)
    bench.pass_by(PATIENCE)
    assert bench.status == "Failed"
    assert bench.releases["1.1.0"] >= 1
    assert bench.group.describe_group().configuration.template.version == "1"


def test_a_refresh_of_fourteen_days_fails() -> None:
    """Guide, Total duration."""
    bench = RefreshBench(5)
    bench.start(replace(CANARY, checkpoint_delay=timedelta(days=2), checkpoints=(20, 40, 60, 80, 100)))
    bench.settle()
    bench.pass_by(LONGEST)
    assert (bench.status, bench.refresh.reason) == ("Failed", "The instance refresh took longer than 14 days.")


# Alarms


def test_an_alarm_turns_a_refresh_with_auto_rollback_back() -> None:
    """Rollback: "or if any CloudWatch alarms you specify go into the ALARM state"."""
    bench = RefreshBench(5, alarms={"failures": AlarmState.OK})
    bench.start(WATCHED)
    bench.settle()
    bench.alarms["failures"] = AlarmState.ALARM
    bench.settle()
    assert bench.status == "RollbackSuccessful"
    assert bench.refresh.reason == "CloudWatch alarms in ALARM state: failures"
    rollback = bench.refresh.rollback
    assert rollback is not None
    assert (rollback.percentage, rollback.to_update) == (20, 4)
    assert bench.refresh.percentage == 0
    assert bench.releases == {"1.0.0": 5}
    assert bench.fewest == 5


def test_an_alarm_while_it_bakes_turns_it_back_too() -> None:
    bench = RefreshBench(2, alarms={"failures": AlarmState.OK})
    bench.start(replace(WATCHED, checkpoints=(), bake=timedelta(minutes=5)))
    bench.settle()
    bench.alarms["failures"] = AlarmState.ALARM
    bench.settle()
    assert bench.status == "RollbackSuccessful"
    assert bench.releases == {"1.0.0": 2}


def test_an_alarm_fails_a_refresh_without_auto_rollback() -> None:
    """Rollback: "the instance refresh fails without rolling back"."""
    bench = RefreshBench(5, alarms={"failures": AlarmState.OK})
    bench.start(replace(WATCHED, auto_rollback=False))
    bench.settle()
    bench.alarms["failures"] = AlarmState.ALARM
    bench.settle()
    assert bench.status == "Failed"
    assert bench.releases == {"1.0.0": 4, "1.1.0": 1}


def test_nothing_is_replaced_while_an_alarm_lacks_data() -> None:
    """Rollback: "Amazon EC2 Auto Scaling cannot replace instances until new data points are found"."""
    bench = RefreshBench(2, alarms={"failures": AlarmState.OK})
    bench.start(replace(WATCHED, checkpoints=()))
    bench.alarms["failures"] = AlarmState.INSUFFICIENT_DATA
    bench.settle(30)
    assert bench.releases == {"1.0.0": 2}
    bench.alarms["failures"] = AlarmState.OK
    bench.settle()
    assert bench.status == "Successful"


@pytest.mark.parametrize("state", [AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA])
def test_an_alarm_that_is_not_ok_prevents_the_start(state: AlarmState) -> None:
    """Rollback: "If the alarm state is INSUFFICIENT_DATA or ALARM, you receive an error"."""
    with pytest.raises(ValidationError, match=f"failures is in the state {state.value}"):
        RefreshBench(1, alarms={"failures": state}).start(WATCHED)


def test_an_alarm_must_exist() -> None:
    """Rollback: "To specify an alarm, you first need to create it"."""
    with pytest.raises(ValidationError, match="no CloudWatch alarm failures"):
        RefreshBench(1).start(WATCHED)
