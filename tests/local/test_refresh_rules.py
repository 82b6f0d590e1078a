"""Auto Scaling's rules of instance refreshes, one a test, each with its source.

Guide: User Guide, "How an instance refresh works". Checkpoints: "Add checkpoints to an instance refresh". Rollback:
"Undo changes with a manual or auto rollback". Cancel: "Cancel an instance refresh". Events: "Instance refresh example
events and patterns". API: API reference.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from local_group_bench import FakeTemplates, a_configuration
from refresh_bench import ROLLING, RefreshBench
from sdfleet_local.refresh_preferences import Preferences
from sdfleet_local.refresh_run import LONGEST, PATIENCE, AlarmState
from sdfleet_local.scaling_errors import (
    ActiveInstanceRefreshNotFound,
    InstanceRefreshInProgress,
    IrreversibleInstanceRefresh,
    ValidationError,
)

CANARY = replace(ROLLING, checkpoints=(20, 100), checkpoint_delay=timedelta(minutes=15))
BACK = replace(CANARY, auto_rollback=True)
WATCHED = replace(BACK, alarms=("failures",))


# Replacing


def test_every_instance_is_replaced_and_the_group_takes_the_desired_configuration() -> None:
    """Guide: "Automatically update the Auto Scaling group settings [...] after the instance refresh succeeds"."""
    templates = FakeTemplates()
    bench = RefreshBench(5, templates=templates)
    bench.start()
    assert bench.group.describe_group().configuration.template.version == "1"
    bench.settle()
    assert bench.releases == {"1.1.0": 5}
    assert (bench.status, bench.refresh.percentage, bench.refresh.to_update) == ("Successful", 100, 0)
    assert bench.group.describe_group().configuration == a_configuration("2")
    assert templates.tags == {one.instance_id: "1.1.0" for one in bench.group.describe_group().members}


def test_at_a_minimum_of_100_per_cent_a_new_instance_is_in_service_before_an_old_one_goes() -> None:
    """Guide: "Launch the new instances first before terminating the old ones"."""
    bench = RefreshBench(5)
    bench.start(Preferences(min_healthy=100, max_healthy=200))
    bench.settle()
    assert bench.fewest == 5
    assert 5 < bench.most <= 10


def test_a_maximum_of_100_that_is_named_is_exceeded_by_one() -> None:
    """API, MaxHealthyPercentage: "launches a new instance before terminating an old one (temporarily exceeding the
    desired capacity)"; Guide: "To replace one instance at a time, set both [...] to 100 percent".
    """
    bench = RefreshBench(3)
    bench.start(Preferences(min_healthy=100, max_healthy=100))
    bench.settle(20)
    assert (bench.fewest, bench.most) == (3, 4)
    assert bench.releases == {"1.1.0": 3}


def test_a_maximum_that_is_not_named_terminates_first() -> None:
    """API, MaxHealthyPercentage: "When MaxHealthyPercentage is omitted, Auto Scaling terminates an instance and
    launches its replacement simultaneously."
    """
    bench = RefreshBench(3)
    bench.start(Preferences(min_healthy=100))
    bench.settle(20)
    assert (bench.fewest, bench.most) == (2, 3)
    assert bench.releases == {"1.1.0": 3}


def test_a_minimum_of_80_per_cent_of_ten_replaces_two_at_a_time() -> None:
    """Checkpoints: "To maintain the minimum healthy percentage, only two instances can be replaced at a time"."""
    bench = RefreshBench(10)
    bench.start(Preferences(min_healthy=80, max_healthy=100))
    bench.settle(30)
    assert (bench.fewest, bench.most) == (8, 10)
    assert bench.releases == {"1.1.0": 10}


def test_a_minimum_of_zero_replaces_all_at_once() -> None:
    """Guide: "To replace all instances at once, set a minimum healthy percentage of 0 percent"."""
    bench = RefreshBench(4)
    bench.start(Preferences(min_healthy=0))
    bench.second()
    bench.second()
    bench.second()
    assert bench.fewest == 0


def test_an_instance_counts_once_it_has_been_in_service_for_the_warm_up() -> None:
    """API, PercentageComplete: "healthy and the specified warm-up time passes"."""
    bench = RefreshBench(2)
    bench.start(replace(ROLLING, warmup=timedelta(minutes=5)))
    bench.settle(60)
    assert (bench.refresh.percentage, bench.refresh.to_update) == (0, 2)
    assert bench.releases == {"1.0.0": 2, "1.1.0": 2}
    bench.pass_by(timedelta(minutes=5))
    assert bench.status == "Successful"


def test_without_a_desired_configuration_instances_are_launched_anew_from_the_groups_own() -> None:
    """API, DesiredConfiguration is optional; SkipMatching is false by default."""
    bench = RefreshBench(2)
    first = {one.instance_id for one in bench.group.instances()}
    bench.start(version=None)
    bench.settle()
    assert bench.releases == {"1.0.0": 2}
    assert first.isdisjoint(one.instance_id for one in bench.group.instances())


def test_instances_of_the_desired_version_are_skipped_when_matching_ones_are() -> None:
    """Guide, Skip matching: "only replaces those instances that use a different version"."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    (canary,) = (one.instance_id for one in bench.group.describe_group().members if one.template.version == "2")
    bench.group.cancel_refresh(waits=True)
    bench.settle()
    bench.start(replace(ROLLING, skip_matching=True))
    bench.settle()
    assert bench.group.has(canary)
    assert bench.releases == {"1.1.0": 5}


def test_an_empty_group_is_refreshed_at_once() -> None:
    """There is nothing to replace: no canary either."""
    bench = RefreshBench(0)
    bench.start(CANARY)
    bench.second()
    assert (bench.status, bench.refresh.percentage) == ("Successful", 100)
    assert bench.group.describe_group().configuration.template.version == "2"
    assert bench.kinds == ["Succeeded"]


def test_scale_out_and_replacements_during_a_refresh_launch_the_desired_configuration() -> None:
    """Guide, Desired configuration: "If a scale-out event occurs during an instance refresh, Amazon EC2 Auto Scaling
    launches new instances with the desired configuration instead of the group's current settings."
    """
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    bench.group.resize(desired=6)
    bench.settle()
    assert bench.releases == {"1.0.0": 4, "1.1.0": 2}
    lost = next(one for one in bench.launcher.launched if one.is_running and one.metadata.release == "1.0.0")
    lost.is_running = False
    bench.settle()
    assert bench.releases == {"1.0.0": 3, "1.1.0": 3}


def test_scale_in_during_a_refresh_takes_the_older_template_first() -> None:
    """User Guide, "Configure termination policies": the default policy, "the oldest launch template"."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    bench.group.resize(desired=3)
    bench.settle()
    assert bench.releases == {"1.0.0": 2, "1.1.0": 1}


# Checkpoints


def test_exactly_a_fifth_of_five_is_new_at_a_checkpoint_of_20_per_cent() -> None:
    """Checkpoints: "the first checkpoint is reached when 20 percent of instances are new"."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle(60)
    assert bench.releases == {"1.0.0": 4, "1.1.0": 1}
    assert (bench.status, bench.refresh.percentage, bench.refresh.to_update) == ("InProgress", 20, 4)
    assert (bench.fewest, bench.most) == (5, 6)


def test_after_the_delay_it_goes_on_by_itself() -> None:
    """API, CheckpointDelay: "to wait after a checkpoint before continuing"."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    bench.pass_by(timedelta(minutes=14))
    assert bench.releases == {"1.0.0": 4, "1.1.0": 1}
    bench.pass_by(timedelta(minutes=1))
    assert bench.status == "Successful"
    assert bench.releases == {"1.1.0": 5}


def test_a_checkpoint_is_told_of_with_strings_and_that_of_100_per_cent_is_not() -> None:
    """Events: `"CheckpointPercentage": "50"`; Checkpoints: "except for the 100 percent complete" one."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    bench.pass_by(timedelta(minutes=15))
    assert bench.kinds == ["Started", "Checkpoint Reached", "Succeeded"]
    event = bench.events[1].to_event(region="us-east-1")
    assert event["detail-type"] == "EC2 Auto Scaling Instance Refresh Checkpoint Reached"
    assert event["source"] == "aws.autoscaling"
    assert event["detail"] == {
        "InstanceRefreshId": bench.refresh.id,
        "AutoScalingGroupName": bench.group.name,
        "CheckpointPercentage": "20",
        "CheckpointDelay": "900",
    }


def test_a_small_group_skips_checkpoints() -> None:
    """Checkpoints: of two instances and [10,40,100], "it skips the first checkpoint (10) and sends a notification for
    the second checkpoint (40)".
    """
    bench = RefreshBench(2)
    bench.start(replace(CANARY, checkpoints=(10, 40, 100)))
    bench.settle()
    assert [event.checkpoint for event in bench.events] == [None, "40"]
    assert bench.refresh.percentage == 50


def test_the_last_checkpoint_is_the_target() -> None:
    """Checkpoints: with a final one below 100 it "will stop replacing instances after reaching that checkpoint"; the
    group adopts the new version all the same.
    """
    bench = RefreshBench(5)
    bench.start(replace(CANARY, checkpoints=(20,)))
    bench.settle()
    assert (bench.status, bench.refresh.percentage) == ("Successful", 20)
    assert bench.releases == {"1.0.0": 4, "1.1.0": 1}
    assert bench.group.describe_group().configuration.template.version == "2"


def test_a_scale_out_can_bring_a_checkpoint_again() -> None:
    """Checkpoints: "sends another notification and repeats the wait time between checkpoints before continuing"."""
    bench = RefreshBench(5)
    bench.start(replace(CANARY, checkpoints=(40, 100)))
    bench.settle()
    assert bench.releases == {"1.0.0": 3, "1.1.0": 2}
    bench.sound.discard("1.1.0")
    bench.group.resize(desired=6)
    bench.settle()
    bench.sound.add("1.1.0")
    bench.settle()
    assert bench.kinds == ["Started", "Checkpoint Reached", "Checkpoint Reached"]


def test_it_bakes_at_the_end() -> None:
    """API, BakeTime: "to wait at the end of an instance refresh before the instance refresh is considered complete"."""
    bench = RefreshBench(2)
    bench.start(replace(ROLLING, bake=timedelta(minutes=10)))
    bench.settle()
    assert (bench.status, bench.refresh.percentage) == ("Baking", 100)
    assert bench.group.describe_group().configuration.template.version == "1"
    bench.pass_by(timedelta(minutes=10))
    assert bench.status == "Successful"
    assert bench.kinds == ["Started", "Started Baking", "Succeeded"]


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


# One at a time, cancel, rollback


def test_a_group_has_one_refresh_at_a_time() -> None:
    """API, StartInstanceRefresh: InstanceRefreshInProgress."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    with pytest.raises(InstanceRefreshInProgress, match="already in progress"):
        bench.start(CANARY)


def test_cancelling_stops_further_replacements_and_rolls_nothing_back() -> None:
    """Cancel: "does not roll back any instances that were already replaced"."""
    bench = RefreshBench(5)
    refresh_id = bench.start(CANARY)
    bench.settle()
    assert bench.group.cancel_refresh(waits=True) == refresh_id
    assert bench.status == "Cancelling"
    bench.settle()
    assert bench.status == "Cancelled"
    assert bench.releases == {"1.0.0": 4, "1.1.0": 1}
    assert bench.group.describe_group().configuration.template.version == "1"
    assert bench.kinds[-1] == "Cancelled"


def test_cancelling_waits_for_launches_in_flight() -> None:
    """Cancel: "waits for any in-flight launches and terminations to complete"."""
    bench = RefreshBench(2)
    bench.sound.discard("1.1.0")
    bench.start()
    bench.settle(3)
    bench.group.cancel_refresh(waits=True)
    bench.settle()
    assert bench.status == "Cancelling"
    bench.sound.add("1.1.0")
    bench.settle()
    assert bench.status == "Cancelled"


def test_cancelling_need_not_wait() -> None:
    """API, WaitForTransitioningInstances; Cancel: "allowing you to start a new instance refresh"."""
    bench = RefreshBench(2)
    bench.sound.discard("1.1.0")
    bench.start()
    bench.settle(3)
    bench.group.cancel_refresh(waits=False)
    assert bench.status == "Cancelled"
    bench.start(version="3")


def test_only_what_is_under_way_can_be_cancelled_or_rolled_back() -> None:
    """API, ActiveInstanceRefreshNotFound."""
    bench = RefreshBench(1)
    with pytest.raises(ActiveInstanceRefreshNotFound):
        bench.group.cancel_refresh(waits=True)
    with pytest.raises(ActiveInstanceRefreshNotFound):
        bench.group.roll_back_refresh()
    bench.start()
    bench.settle()
    assert bench.status == "Successful"
    with pytest.raises(ActiveInstanceRefreshNotFound):
        bench.group.roll_back_refresh()


def test_a_rollback_replaces_what_was_replaced() -> None:
    """API, RollbackInstanceRefresh: "replaces any instances that were replaced during the instance refresh"."""
    bench = RefreshBench(5)
    refresh_id = bench.start(CANARY)
    bench.settle()
    kept = {one.instance_id for one in bench.group.describe_group().members if one.template.version == "1"}
    assert bench.group.roll_back_refresh() == refresh_id
    assert bench.status == "RollbackInProgress"
    bench.settle()
    assert bench.status == "RollbackSuccessful"
    assert bench.releases == {"1.0.0": 5}
    assert kept <= {one.instance_id for one in bench.group.instances()}
    assert bench.refresh.to_update == 4
    assert bench.fewest == 5


def test_a_rollback_can_be_cancelled() -> None:
    """API, CancelInstanceRefresh: "Cancels an instance refresh or rollback that is in progress"."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    bench.group.roll_back_refresh()
    bench.group.cancel_refresh(waits=False)
    assert bench.status == "Cancelled"


def test_a_rollback_whose_instances_do_not_come_fails() -> None:
    """Rollback: with a former configuration that is not stable "the rollback workflow will still occur, but it will
    eventually fail".
    """
    bench = RefreshBench(2)
    bench.start(replace(ROLLING, bake=timedelta(hours=5)))
    bench.settle()
    bench.sound.discard("1.0.0")
    bench.group.roll_back_refresh()
    bench.settle()
    bench.pass_by(PATIENCE)
    assert bench.status == "RollbackFailed"
    assert bench.kinds[-1] == "Rollback Failed"


def test_there_is_no_rollback_without_a_desired_configuration() -> None:
    """Rollback: "only available if you specify a desired configuration"."""
    bench = RefreshBench(2)
    bench.start(CANARY, version=None)
    with pytest.raises(IrreversibleInstanceRefresh, match="no desired configuration"):
        bench.group.roll_back_refresh()


@pytest.mark.parametrize("version", ["$Latest", "$Default"])
def test_there_is_no_rollback_to_a_version_that_moves(version: str) -> None:
    """Rollback: "only [...] if the version is a specific numbered version"."""
    bench = RefreshBench(2)
    bench.group.reconfigure(a_configuration(version))
    with pytest.raises(ValidationError, match="AutoRollback"):
        bench.start(BACK, version="2")
    bench.start(CANARY, version="2")
    with pytest.raises(IrreversibleInstanceRefresh, match="Default"):
        bench.group.roll_back_refresh()


def test_there_is_no_rollback_to_an_ami_alias() -> None:
    """Rollback: not "to a launch template that is configured to use an AMI alias"."""
    bench = RefreshBench(2)
    first = a_configuration()
    aliased = replace(first, template=replace(first.template, image_id="resolve:ssm:/golden/ami"))
    bench.group.reconfigure(aliased)
    bench.start(CANARY)
    with pytest.raises(IrreversibleInstanceRefresh, match="alias"):
        bench.group.roll_back_refresh()


def test_a_rollback_can_be_asked_for_once() -> None:
    bench = RefreshBench(5)
    bench.start(CANARY)
    bench.settle()
    bench.group.roll_back_refresh()
    with pytest.raises(IrreversibleInstanceRefresh, match="RollbackInProgress"):
        bench.group.roll_back_refresh()


def test_the_groups_template_cannot_be_changed_meanwhile() -> None:
    """Guide, Update restriction."""
    bench = RefreshBench(5)
    bench.start(CANARY)
    with pytest.raises(ValidationError, match="An active instance refresh with a desired configuration exists"):
        bench.group.reconfigure(a_configuration("3"))
    bench.group.resize(desired=6)


# Protection


def test_protected_instances_are_replaced_where_the_preferences_say_so() -> None:
    """API, ScaleInProtectedInstances: Refresh."""
    bench = RefreshBench(2)
    bench.group.protect([bench.group.instances()[0].instance_id], is_protected=True)
    bench.start(replace(ROLLING, scale_in_protected="Refresh"))
    bench.settle()
    assert bench.releases == {"1.1.0": 2}


def test_protected_instances_are_left_alone_where_the_preferences_say_so() -> None:
    """API, ScaleInProtectedInstances: Ignore, "continues to replace instances that are not protected"."""
    bench = RefreshBench(3)
    bench.group.protect([bench.group.instances()[0].instance_id], is_protected=True)
    bench.start(replace(ROLLING, scale_in_protected="Ignore"))
    bench.settle()
    assert bench.status == "Successful"
    assert bench.releases == {"1.0.0": 1, "1.1.0": 2}


def test_protected_instances_are_waited_for_by_default_for_an_hour() -> None:
    """API, ScaleInProtectedInstances: "waits one hour for you to remove scale-in protection. Otherwise, the instance
    refresh will fail."
    """
    bench = RefreshBench(2)
    bench.group.protect([bench.group.instances()[0].instance_id], is_protected=True)
    bench.start()
    bench.settle(60)
    assert bench.status == "InProgress"
    bench.pass_by(PATIENCE)
    assert bench.status == "Failed"
    assert "protected" in bench.refresh.reason


def test_an_instance_that_is_released_in_time_is_replaced() -> None:
    bench = RefreshBench(2)
    held = bench.group.instances()[0].instance_id
    bench.group.protect([held], is_protected=True)
    bench.start()
    bench.settle(60)
    bench.group.protect([held], is_protected=False)
    bench.settle()
    assert bench.releases == {"1.1.0": 2}


def test_a_group_that_shrinks_keeps_what_is_protected() -> None:
    """User Guide, "Use instance scale-in protection"."""
    bench = RefreshBench(3)
    held = bench.group.instances()[-1].instance_id
    bench.group.protect([held], is_protected=True)
    bench.group.resize(desired=1)
    bench.settle()
    assert [one.instance_id for one in bench.group.instances()] == [held]


# What is shown


def test_refreshes_are_described_newest_first_and_by_id() -> None:
    """API, DescribeInstanceRefreshes."""
    bench = RefreshBench(1)
    first = bench.start()
    bench.settle()
    second = bench.start(version="3")
    assert [one.id for one in bench.group.refreshes()] == [second, first]
    assert [one.id for one in bench.group.refreshes([first])] == [first]


def test_a_refresh_is_pending_first_and_has_no_start_yet() -> None:
    bench = RefreshBench(1)
    bench.start()
    assert (bench.status, bench.refresh.started_at) == ("Pending", None)
    bench.second()
    assert bench.status == "InProgress"
    assert bench.refresh.started_at is not None


def test_refreshes_are_forgotten_after_six_weeks() -> None:
    """API, DescribeInstanceRefreshes: "from the previous six weeks"."""
    bench = RefreshBench(1)
    bench.start()
    bench.settle()
    bench.pass_by(timedelta(weeks=6))
    second = bench.start(version="3")
    bench.settle()
    assert [one.id for one in bench.group.refreshes()] == [second]
