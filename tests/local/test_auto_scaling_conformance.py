"""Auto Scaling's rules of sizes, single instances and processes, one a test, as boto3 sees them.

API: Auto Scaling API reference. Guide: User Guide, by the title of the page. [U]: not documented, ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance import Fleet, rule
from sdfleet_cli.auto_scaling_rules import rules_page

Make = Callable[..., Fleet]


@rule("SIZE-1", "The desired capacity stays within minimum and maximum.", "Guide, Set capacity limits")
def test_a_desired_capacity_beyond_the_limits_is_refused(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    fleet.call("update_auto_scaling_group", MinSize=1)
    assert fleet.refused("set_desired_capacity", "above max value 5", DesiredCapacity=6) == "ValidationError"
    assert fleet.refused("set_desired_capacity", "below min value 1", DesiredCapacity=0) == "ValidationError"
    assert fleet.desired == 2


@rule("SIZE-2", "A minimum above the maximum is refused.", "API, UpdateAutoScalingGroup")
def test_a_minimum_above_the_maximum_is_refused(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    assert fleet.refused("update_auto_scaling_group", "Max bound", MinSize=4, MaxSize=3) == "ValidationError"


@rule(
    "SIZE-3",
    "A new minimum or maximum takes the desired capacity along.",
    'API, UpdateAutoScalingGroup: "this sets the group\'s DesiredCapacity to the new MinSize value", likewise MaxSize',
)
def test_new_limits_take_the_desired_capacity_along(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    fleet.call("update_auto_scaling_group", MinSize=3)
    assert (fleet.desired, len(fleet.ids)) == (3, 3)
    fleet.call("update_auto_scaling_group", MinSize=0, MaxSize=1)
    assert (fleet.desired, len(fleet.ids)) == (1, 1)


@rule("SIZE-4", "A call that is refused in part changes nothing.", "[U]: as of any call that answers an error")
def test_a_refused_update_changes_nothing(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.refused("update_auto_scaling_group", DesiredCapacity=99, HealthCheckGracePeriod=60)
    assert (fleet.desired, fleet.group["HealthCheckGracePeriod"]) == (1, 0)


@rule(
    "SIZE-5",
    "A mixed policy without a launch template keeps the group's.",
    'API, MixedInstancesPolicy, LaunchTemplate: "Required when creating a mixed instances group"',
)
def test_a_distribution_can_change_alone(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("update_auto_scaling_group", MixedInstancesPolicy={"InstancesDistribution": {"OnDemandBaseCapacity": 1}})
    policy = fleet.group["MixedInstancesPolicy"]
    assert policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] == "1"
    assert policy["InstancesDistribution"]["OnDemandBaseCapacity"] == 1


@rule("TERM-1", "An instance that is terminated is replaced.", "API, TerminateInstanceInAutoScalingGroup")
def test_a_terminated_instance_is_replaced(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    gone = fleet.ids[0]
    fleet.client.terminate_instance_in_auto_scaling_group(InstanceId=gone, ShouldDecrementDesiredCapacity=False)
    fleet.bench.settle()
    assert (fleet.desired, len(fleet.ids), gone in fleet.ids) == (2, 2, False)


@rule(
    "TERM-2",
    "With decrement it is not, and the activity tells the capacities.",
    'API, TerminateInstanceInAutoScalingGroup, example: "in response to a user request, shrinking the capacity from 4'
    ' to 3"',
)
def test_with_decrement_the_group_is_one_smaller(a_fleet: Make) -> None:
    fleet = a_fleet(3)
    gone = fleet.ids[1]
    answer = fleet.client.terminate_instance_in_auto_scaling_group(InstanceId=gone, ShouldDecrementDesiredCapacity=True)
    fleet.bench.settle()
    assert answer["Activity"]["Cause"].endswith("in response to a user request, shrinking the capacity from 3 to 2.")
    assert (fleet.desired, len(fleet.ids), gone in fleet.ids) == (2, 2, False)


@rule("TERM-3", "A decrement below the minimum is refused.", "API, TerminateInstanceInAutoScalingGroup")
def test_a_decrement_never_goes_below_the_minimum(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("update_auto_scaling_group", MinSize=1)
    arguments = {"InstanceId": fleet.ids[0], "ShouldDecrementDesiredCapacity": True}
    assert fleet.refused("terminate_instance_in_auto_scaling_group", "minSize", **arguments) == "ValidationError"
    fleet.bench.settle()
    assert fleet.states == ["InService"]


@rule(
    "TERM-4", "Several instances are terminated by one call.", "API, TerminateInstanceInAutoScalingGroup, InstanceIds"
)
def test_several_instances_are_terminated_by_one_call(a_fleet: Make) -> None:
    fleet = a_fleet(3)
    going = fleet.ids[:2]
    answer = fleet.call(
        "terminate_instance_in_auto_scaling_group", InstanceIds=going, ShouldDecrementDesiredCapacity=True
    )
    assert len(answer["Activities"]) == 2
    assert (fleet.desired, len(fleet.ids)) == (1, 1)


@rule(
    "PROT-1",
    "Scale-in passes over protected instances; when only those are left, the desired capacity is lower than the group.",
    'Guide, Use instance scale-in protection: "its desired capacity is decremented. However, the Auto Scaling group '
    "can't terminate the required number of instances\"",
)
def test_scale_in_passes_over_protected_instances(a_fleet: Make) -> None:
    fleet = a_fleet(3)
    held = fleet.ids[1:]
    fleet.call("set_instance_protection", InstanceIds=held, ProtectedFromScaleIn=True)
    fleet.call("set_desired_capacity", DesiredCapacity=1)
    assert (fleet.desired, fleet.ids) == (1, held)
    said = [one["Description"] for one in fleet.activities]
    assert any(one.startswith("Could not scale to desired capacity because all remaining") for one in said)
    fleet.call("set_instance_protection", InstanceIds=held, ProtectedFromScaleIn=False)
    assert len(fleet.ids) == 1


@rule("PROT-2", "Protection does not hold against TerminateInstance.", "Guide, Use instance scale-in protection")
def test_protection_does_not_hold_against_an_operators_word(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    held = fleet.ids
    fleet.call("set_instance_protection", InstanceIds=held, ProtectedFromScaleIn=True)
    fleet.client.terminate_instance_in_auto_scaling_group(InstanceId=held[0], ShouldDecrementDesiredCapacity=True)
    fleet.bench.settle()
    assert fleet.ids == []


@rule(
    "PROT-3",
    "New instances inherit the group's setting.",
    'Guide, Use instance scale-in protection: "the instance inherits the instance scale-in protection setting"',
)
def test_new_instances_are_protected_where_the_group_says_so(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("update_auto_scaling_group", NewInstancesProtectedFromScaleIn=True, DesiredCapacity=2)
    assert [one["ProtectedFromScaleIn"] for one in fleet.group["Instances"]] == [False, True]


@rule("PROT-4", "At most 50 instances a call, all of them the group's.", "API, SetInstanceProtection")
def test_protection_is_for_fifty_instances_of_the_group(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    for ids in (["i-0"], [], ["i-0"] * 51):
        code = fleet.refused("set_instance_protection", InstanceIds=ids, ProtectedFromScaleIn=True)
        assert code == "ValidationError"


@rule(
    "STBY-1",
    "Standby with decrement: the group is smaller and nothing is launched; back, it is as large as before.",
    'Guide, Temporarily remove instances: "the desired capacity is incremented"',
)
def test_an_instance_goes_to_standby_and_comes_back(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    first = fleet.ids[0]
    answer = fleet.call("enter_standby", InstanceIds=[first], ShouldDecrementDesiredCapacity=True)
    assert answer["Activities"][0]["Description"] == f"Moving EC2 instance to Standby: {first}"
    assert (fleet.desired, fleet.states) == (1, ["Standby", "InService"])
    fleet.call("exit_standby", InstanceIds=[first])
    assert (fleet.desired, fleet.states) == (2, ["InService", "InService"])
    assert "was moved out of standby in response to a user request" in fleet.activities[0]["Cause"]


@rule(
    "STBY-2",
    "Standby without decrement: a replacement is launched, and after the return the group has one too many.",
    'Guide, Temporarily remove instances: "you have more instances than you need. It applies the termination policy"',
)
def test_without_decrement_an_instance_on_standby_is_replaced(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    first = fleet.ids[0]
    fleet.call("enter_standby", InstanceIds=[first], ShouldDecrementDesiredCapacity=False)
    assert (fleet.desired, fleet.states) == (1, ["Standby", "InService"])
    fleet.call("exit_standby", InstanceIds=[first])
    assert (fleet.desired, fleet.states) == (2, ["InService", "InService"])


@rule(
    "STBY-3",
    "Not below the minimum, nor back above the maximum.",
    'API, EnterStandby: "equal to or greater than the minimum capacity of the group"',
)
def test_standby_stays_within_the_limits(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("update_auto_scaling_group", MinSize=1, MaxSize=1)
    one = {"InstanceIds": fleet.ids}
    assert fleet.refused("enter_standby", "min-size=1", **one, ShouldDecrementDesiredCapacity=True) == "ValidationError"
    fleet.call("enter_standby", **one, ShouldDecrementDesiredCapacity=False)
    assert fleet.refused("exit_standby", "max-size=1", **one) == "ValidationError"


@rule("STBY-4", "Only what is in service goes to standby, only what is there comes back.", "Guide, Temporarily remove")
def test_standby_is_for_instances_in_service(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    assert fleet.refused("exit_standby", "not in Standby", InstanceIds=fleet.ids) == "ValidationError"
    fleet.call("enter_standby", InstanceIds=fleet.ids, ShouldDecrementDesiredCapacity=True)
    arguments = {"InstanceIds": fleet.ids, "ShouldDecrementDesiredCapacity": True}
    assert fleet.refused("enter_standby", "not in InService", **arguments) == "ValidationError"


@rule(
    "STBY-5",
    "Scale-in does not choose instances on standby, and their health is not looked at.",
    'Guide, Temporarily remove instances: "does not perform health checks on instances that are in a standby state"',
)
def test_an_instance_on_standby_is_left_alone(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    first = fleet.ids[0]
    fleet.call("enter_standby", InstanceIds=[first], ShouldDecrementDesiredCapacity=True)
    fleet.client.set_instance_health(InstanceId=first, HealthStatus="Unhealthy")
    fleet.call("set_desired_capacity", DesiredCapacity=0)
    assert (fleet.ids, fleet.states) == ([first], ["Standby"])


@pytest.mark.parametrize(("process", "before", "after"), [("Launch", 1, 3), ("Terminate", 1, 0)])
@rule(
    "PROC-1",
    "Without Launch or Terminate the group does not follow its desired capacity; resumed, it does.",
    "Guide, Suspend and resume a process, scenarios 1 and 2",
)
def test_a_group_without_a_process_waits_for_it(a_fleet: Make, process: str, before: int, after: int) -> None:
    fleet = a_fleet(before)
    fleet.call("suspend_processes", ScalingProcesses=[process])
    fleet.call("set_desired_capacity", DesiredCapacity=after)
    assert (fleet.desired, len(fleet.ids)) == (after, before)
    fleet.call("resume_processes", ScalingProcesses=[process])
    assert len(fleet.ids) == after


@rule(
    "PROC-2",
    "Without ReplaceUnhealthy an unhealthy instance stays until it is resumed.",
    'Guide, Suspend and resume a process, scenario 8: "As soon as you resume the ReplaceUnhealthy process"',
)
def test_without_replace_unhealthy_an_instance_is_marked_only(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    first = fleet.ids
    fleet.call("suspend_processes", ScalingProcesses=["ReplaceUnhealthy"])
    fleet.client.set_instance_health(InstanceId=first[0], HealthStatus="Unhealthy")
    fleet.bench.settle()
    assert (fleet.ids, fleet.group["Instances"][0]["HealthStatus"]) == (first, "Unhealthy")
    fleet.call("resume_processes", ScalingProcesses=["ReplaceUnhealthy"])
    assert (len(fleet.ids), fleet.ids == first) == (1, False)


@rule(
    "PROC-3",
    "Without HealthCheck an instance that has gone is not noticed; what is said of its health counts.",
    'Guide, Suspend and resume a process, scenario 6: "Your custom health checks continue to function properly"',
)
def test_without_health_check_a_dead_instance_is_not_noticed(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    dead, poorly = fleet.ids
    fleet.call("suspend_processes", ScalingProcesses=["HealthCheck"])
    fleet.bench.launcher.launched[0].is_running = False
    fleet.client.set_instance_health(InstanceId=poorly, HealthStatus="Unhealthy")
    fleet.bench.settle()
    assert (dead in fleet.ids, poorly in fleet.ids) == (True, False)
    fleet.call("resume_processes", ScalingProcesses=["HealthCheck"])
    assert dead not in fleet.ids


@rule(
    "PROC-4",
    "Without InstanceRefresh a refresh pauses and goes on when it is resumed.",
    'Guide, Suspend and resume a process, scenario 7: "this pauses the operation without canceling it"',
)
def test_without_its_process_a_refresh_pauses(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    first = fleet.ids
    fleet.call("suspend_processes", ScalingProcesses=["InstanceRefresh"])
    fleet.call("start_instance_refresh", Preferences={"InstanceWarmup": 0})
    assert fleet.ids == first
    fleet.call("resume_processes", ScalingProcesses=["InstanceRefresh"])
    fleet.bench.settle()
    assert fleet.ids != first


@rule("PROC-5", "Without a list all processes are meant; the group shows them.", "API, SuspendProcesses")
def test_all_processes_are_meant_where_none_is_named(a_fleet: Make) -> None:
    fleet = a_fleet(0)
    known = {one["ProcessName"] for one in fleet.client.describe_scaling_process_types()["Processes"]}
    fleet.call("suspend_processes")
    assert {one["ProcessName"] for one in fleet.group["SuspendedProcesses"]} == known
    fleet.call("resume_processes")
    assert fleet.group["SuspendedProcesses"] == []
    assert fleet.refused("suspend_processes", ScalingProcesses=["Sleep"]) == "ValidationError"


def test_every_rule_has_an_id_of_its_own_and_is_listed() -> None:
    rules = re.findall(r"^\| ([A-Z]+-\d+) \|", rules_page(), re.MULTILINE)
    marked = [one for path in Path(__file__).parent.glob("test_auto_scaling_conformance*.py") for one in marks(path)]
    assert len(rules) == len(set(rules))
    assert len(marked) == len(set(marked))
    assert set(marked) <= set(rules)


def marks(path: Path) -> list[str]:
    return re.findall(r'^@rule\(\s*"([A-Z]+-\d+)"', path.read_text(), re.MULTILINE)
