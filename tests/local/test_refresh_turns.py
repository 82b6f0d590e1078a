"""Auto Scaling's rules of cancel, rollback and protection; the sources are named in `test_refresh_rules`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from local_group_bench import a_configuration
from refresh_bench import ROLLING, RefreshBench
from sdfleet_local.refresh_run import PATIENCE
from sdfleet_local.scaling_errors import (
    ActiveInstanceRefreshNotFound,
    InstanceRefreshInProgress,
    IrreversibleInstanceRefresh,
    ValidationError,
)

CANARY = replace(ROLLING, checkpoints=(20, 100), checkpoint_delay=timedelta(minutes=15))
BACK = replace(CANARY, auto_rollback=True)


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
