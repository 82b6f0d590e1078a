"""Auto Scaling's rules of instance refreshes, one a test, each with its source.

Guide: User Guide, "How an instance refresh works". Checkpoints: "Add checkpoints to an instance refresh". Rollback:
"Undo changes with a manual or auto rollback". Cancel: "Cancel an instance refresh". Events: "Instance refresh example
events and patterns". API: API reference.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from local_group_bench import FakeTemplates, a_configuration
from refresh_bench import ROLLING, RefreshBench
from sdfleet_local.refresh_preferences import Preferences

CANARY = replace(ROLLING, checkpoints=(20, 100), checkpoint_delay=timedelta(minutes=15))


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
