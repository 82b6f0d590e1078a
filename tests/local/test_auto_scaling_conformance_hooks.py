"""Auto Scaling's rules of lifecycle hooks, health, activities and boots that fail, one a test; and what is refused.

API: Auto Scaling API reference. Guide: User Guide, by the title of the page. [X]: seen in others' excerpts only.
[U]: not documented, ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from conformance import Fleet, rule
from sdfleet_local.scaling_hooks import HookResult, LifecycleHook, Transition

Make = Callable[..., Fleet]
HOUR = timedelta(hours=1)
LAUNCHING, TERMINATING = (one.value for one in Transition)
LAUNCH = LifecycleHook("launch", Transition.LAUNCHING, timedelta(minutes=10))


def waiting(a_fleet: Make, hook: LifecycleHook = LAUNCH) -> Fleet:
    """One instance that waits for its launch hook."""
    fleet = a_fleet(0, hooks=(hook,))
    fleet.call("set_desired_capacity", DesiredCapacity=1)
    assert fleet.states == ["Pending:Wait"]
    return fleet


def complete(fleet: Fleet, result: str, hook: str = "launch") -> None:
    arguments = {"LifecycleHookName": hook, "InstanceId": fleet.ids[-1], "LifecycleActionResult": result}
    fleet.call("complete_lifecycle_action", **arguments)


@rule(
    "HOOK-1",
    "A new instance waits for its launch hook; CONTINUE brings it into service.",
    "Guide, How lifecycle hooks work",
)
def test_an_instance_waits_for_its_launch_hook(a_fleet: Make) -> None:
    fleet = waiting(a_fleet)
    complete(fleet, "CONTINUE")
    assert fleet.states == ["InService"]


@rule(
    "HOOK-2",
    "ABANDON ends it, and another is launched.",
    'Guide, Lifecycle hooks: "automatically terminates and replaces the instance"',
)
def test_an_abandoned_instance_is_replaced(a_fleet: Make) -> None:
    fleet = waiting(a_fleet)
    (first,) = fleet.ids
    complete(fleet, "ABANDON")
    assert (first in fleet.ids, fleet.states) == (False, ["Pending:Wait"])
    cancelled = next(
        one for one in fleet.activities if first in one["Description"] and "Launching" in one["Description"]
    )
    assert cancelled["StatusCode"] == "Cancelled"
    assert re.fullmatch(
        "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token [-0-9a-f]{36} was abandoned: "
        "Lifecycle Action Completed with ABANDON Result",
        cancelled["StatusMessage"],
    )


@pytest.mark.parametrize(("result", "stays"), [(HookResult.CONTINUE, True), (HookResult.ABANDON, False)])
@rule("HOOK-3", "When the time is over, the default result holds.", "API, PutLifecycleHook, DefaultResult")
def test_the_default_result_holds_when_the_time_is_over(a_fleet: Make, result: HookResult, stays: bool) -> None:
    fleet = waiting(a_fleet, LifecycleHook("launch", Transition.LAUNCHING, HOUR, result))
    (first,) = fleet.ids
    fleet.bench.clock.advance(HOUR)
    fleet.bench.settle()
    assert (first in fleet.ids, "InService" in fleet.states) == (stays, stays)
    abandoned = [
        one for one in fleet.activities if one.get("StatusMessage", "").endswith("abandoned: Heartbeat Timeout")
    ]
    assert len(abandoned) == (0 if stays else 1)


@rule("HOOK-4", "A heartbeat begins the timeout anew.", "API, RecordLifecycleActionHeartbeat")
def test_a_heartbeat_begins_the_timeout_anew(a_fleet: Make) -> None:
    fleet = waiting(a_fleet)
    for _ in range(3):
        fleet.bench.clock.advance(timedelta(minutes=9))
        fleet.call("record_lifecycle_action_heartbeat", LifecycleHookName="launch", InstanceId=fleet.ids[0])
    assert fleet.states == ["Pending:Wait"]


@rule("HOOK-5", "No longer than 100 timeouts, or 48 hours.", "API, LifecycleHook, GlobalTimeout")
def test_the_global_timeout_is_100_times_or_48_hours(a_fleet: Make) -> None:
    fleet = a_fleet(0)
    for name, seconds, longest in (("short", 30, 3_000), ("long", 7_200, 172_800)):
        arguments = {"LifecycleTransition": LAUNCHING, "HeartbeatTimeout": seconds}
        fleet.call("put_lifecycle_hook", LifecycleHookName=name, **arguments)
        (shown,) = fleet.call("describe_lifecycle_hooks", LifecycleHookNames=[name])["LifecycleHooks"]
        assert shown["GlobalTimeout"] == longest


@rule(
    "HOOK-6", "An hour and ABANDON by default; 30 to 7,200 seconds; a transition is required.", "API, PutLifecycleHook"
)
def test_a_hook_has_defaults_and_limits(a_fleet: Make) -> None:
    fleet = a_fleet(0)
    fleet.call("put_lifecycle_hook", LifecycleHookName="mine", LifecycleTransition=TERMINATING)
    (shown,) = fleet.call("describe_lifecycle_hooks")["LifecycleHooks"]
    assert (shown["HeartbeatTimeout"], shown["DefaultResult"]) == (3_600, "ABANDON")
    for seconds in (29, 7_201):
        assert (
            fleet.refused("put_lifecycle_hook", LifecycleHookName="mine", HeartbeatTimeout=seconds) == "ValidationError"
        )
    assert fleet.refused("put_lifecycle_hook", "Transition", LifecycleHookName="new") == "ValidationError"


@rule("HOOK-7", "At most 50 hooks.", "API, PutLifecycleHook: LimitExceededFault")
def test_a_group_has_fifty_hooks_at_most(a_fleet: Make) -> None:
    fleet = a_fleet(0, hooks=tuple(LifecycleHook(f"hook-{n}", Transition.TERMINATING) for n in range(50)))
    code = fleet.refused("put_lifecycle_hook", LifecycleHookName="more", LifecycleTransition=TERMINATING)
    assert code == "LimitExceeded"


@pytest.mark.parametrize("transition", Transition)
@rule(
    "HOOK-8",
    "Deleting a hook completes its actions: ABANDON for those that come, CONTINUE for those that go.",
    "API, DeleteLifecycleHook",
)
def test_deleting_a_hook_completes_its_actions(a_fleet: Make, transition: Transition) -> None:
    fleet = a_fleet(0, hooks=(LifecycleHook("mine", transition),))
    fleet.call("set_desired_capacity", DesiredCapacity=1)
    (first,) = fleet.ids
    if transition is Transition.TERMINATING:
        fleet.call("set_desired_capacity", DesiredCapacity=0)
        assert fleet.states == ["Terminating:Wait"]
    fleet.call("delete_lifecycle_hook", LifecycleHookName="mine")
    assert first not in fleet.ids
    assert (
        fleet.refused("delete_lifecycle_hook", "No Lifecycle Hook found", LifecycleHookName="mine") == "ValidationError"
    )


@rule(
    "HOOK-9",
    "All hooks of a launch have to continue; one ABANDON ends the wait for the others.",
    "Guide, Complete a lifecycle action",
)
def test_every_hook_has_its_say(a_fleet: Make) -> None:
    fleet = a_fleet(0, hooks=(LAUNCH, LifecycleHook("second", Transition.LAUNCHING)))
    fleet.call("set_desired_capacity", DesiredCapacity=1)
    complete(fleet, "CONTINUE")
    assert fleet.states == ["Pending:Wait"]
    complete(fleet, "CONTINUE", "second")
    assert fleet.states == ["InService"]
    fleet.call("set_desired_capacity", DesiredCapacity=2)
    second = fleet.ids[-1]
    complete(fleet, "ABANDON", "second")
    assert second not in fleet.ids


@rule(
    "HOOK-10",
    "An action that is over, or that never was, cannot be completed.",
    "API, CompleteLifecycleAction; the text [X]",
)
def test_an_action_that_is_not_under_way_is_refused(a_fleet: Make) -> None:
    fleet = waiting(a_fleet)
    complete(fleet, "CONTINUE")
    arguments = {"LifecycleHookName": "launch", "InstanceId": fleet.ids[0]}
    for call, more in (
        ("complete_lifecycle_action", {"LifecycleActionResult": "CONTINUE"}),
        ("record_lifecycle_action_heartbeat", {}),
    ):
        assert fleet.refused(call, "No active Lifecycle Action found", **arguments, **more) == "ValidationError"


@rule(
    "HOOK-11",
    "An instance whose boot reports completes the fleet's own hook once it is ready.",
    "docs/operations/instances.md, Boot",
)
def test_an_instance_that_is_ready_completes_its_hook(a_fleet: Make) -> None:
    fleet = a_fleet(1, hooks=(LAUNCH,), reported_hook="launch")
    assert fleet.states == ["InService"]


@rule(
    "HEALTH-1",
    "Who is said to be unhealthy is terminated and replaced.",
    "API, SetInstanceHealth; Guide, Health checks for Auto Scaling instances",
)
def test_an_unhealthy_instance_is_replaced(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    (first,) = fleet.ids
    fleet.client.set_instance_health(InstanceId=first, HealthStatus="Unhealthy")
    fleet.bench.settle()
    assert (first in fleet.ids, fleet.states) == (False, ["InService"])
    causes = [one["Cause"] for one in fleet.activities]
    assert any(
        one.endswith("was launched in response to an unhealthy instance needing to be replaced.") for one in causes
    )
    assert any(one.endswith("was taken out of service in response to a user health-check.") for one in causes)


@pytest.mark.parametrize(("respects", "stays"), [(None, True), (True, True), (False, False)])
@rule(
    "HEALTH-2",
    "In its grace period it stays, unless the call says otherwise.",
    "API, SetInstanceHealth, ShouldRespectGracePeriod",
)
def test_the_grace_period_is_respected(a_fleet: Make, respects: bool | None, stays: bool) -> None:
    fleet = a_fleet(1)
    fleet.call("update_auto_scaling_group", HealthCheckGracePeriod=7_200)
    first = fleet.ids
    more = {} if respects is None else {"ShouldRespectGracePeriod": respects}
    fleet.client.set_instance_health(InstanceId=first[0], HealthStatus="Unhealthy", **more)
    fleet.bench.settle()
    assert (fleet.ids == first) is stays


@rule(
    "HEALTH-3",
    "What no longer runs is replaced at once, grace period or not.",
    'Guide, Set the health check grace period: "it immediately marks the instance Unhealthy and replaces it"',
)
def test_an_instance_that_no_longer_runs_is_replaced_at_once(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.call("update_auto_scaling_group", HealthCheckGracePeriod=7_200)
    (first,) = fleet.ids
    fleet.bench.launcher.launched[0].is_running = False
    fleet.bench.settle()
    assert (first in fleet.ids, fleet.states) == (False, ["InService"])
    assert any("an EC2 health check indicating it has been terminated" in one["Cause"] for one in fleet.activities)


@rule("HEALTH-4", "What is on its way out cannot be said to be healthy.", "Guide, Health checks, considerations")
def test_a_terminating_instance_cannot_be_healthy(a_fleet: Make) -> None:
    fleet = a_fleet(1, hooks=(LifecycleHook("leave", Transition.TERMINATING),))
    fleet.call("set_desired_capacity", DesiredCapacity=0)
    code = fleet.refused("set_instance_health", "terminating", InstanceId=fleet.ids[0], HealthStatus="Healthy")
    assert code == "ValidationError"


@rule(
    "ACT-1",
    "An activity tells why the capacity changed and what followed.",
    'Guide, Verify a scaling activity, example: "a monitor alarm ... in state ALARM triggered policy ... changing the'
    ' desired capacity from 3 to 2"',
)
def test_activities_tell_why_in_auto_scalings_words(a_fleet: Make) -> None:
    fleet = a_fleet(1)
    fleet.bench.minute(12)
    grown = fleet.activities[0]
    name = f"{fleet.name}-scale-out"
    at = r"At \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "
    assert re.fullmatch(
        f"{at}a monitor alarm {name} in state ALARM triggered policy {name} changing the desired capacity from 1 to "
        "2.  "
        f"{at}an instance was started in response to a difference between desired and actual capacity, increasing the "
        "capacity from 1 to 2.",
        grown["Cause"],
    )
    assert (grown["StatusCode"], grown["Progress"]) == ("Successful", 100)
    fleet.call("set_desired_capacity", DesiredCapacity=1)
    shrunk = next(one for one in fleet.activities if one["Description"].startswith("Terminating"))
    assert re.fullmatch(
        f"{at}a user request explicitly set group desired capacity changing the desired capacity from 2 to 1.  "
        f"{at}an instance was taken out of service in response to a difference between desired and actual capacity, "
        f"shrinking the capacity from 2 to 1.  {at}instance i-[0-9a-f]+ was selected for termination.",
        shrunk["Cause"],
    )


@rule("ACT-2", "Those under way come first, then the newest; in pages.", "Guide, Verify a scaling activity")
def test_activities_come_in_order(a_fleet: Make) -> None:
    fleet = a_fleet(2)
    fleet.bench.is_sound = False
    fleet.call("set_desired_capacity", DesiredCapacity=3)
    fleet.client.terminate_instance_in_auto_scaling_group(InstanceId=fleet.ids[0], ShouldDecrementDesiredCapacity=True)
    fleet.bench.settle()
    assert [one["StatusCode"] for one in fleet.activities] == ["PreInService", "Successful", "Successful", "Successful"]
    page = fleet.call("describe_scaling_activities", MaxRecords=3)
    rest = fleet.call("describe_scaling_activities", MaxRecords=3, NextToken=page["NextToken"])
    assert (len(page["Activities"]), len(rest["Activities"])) == (3, 1)
    (one,) = fleet.call("describe_scaling_activities", ActivityIds=[rest["Activities"][0]["ActivityId"]])["Activities"]
    assert one == rest["Activities"][0]


@rule(
    "BOOT-1",
    "An instance that dies before it is in service is replaced, again and again; each has its cancelled activity.",
    "the words of the activity [X]; Guide, Lifecycle hooks: the group terminates and replaces",
)
def test_boots_that_fail_go_on_and_are_all_seen(a_fleet: Make) -> None:
    fleet = a_fleet(0, hooks=(LAUNCH,), reported_hook="launch")
    fleet.bench.launcher.broken.add("1.0.0")
    fleet.call("set_desired_capacity", DesiredCapacity=1)
    for _ in range(20):
        fleet.bench.tick(timedelta(seconds=30))
    launches = [one for one in fleet.activities if one["Description"].startswith("Launching")]
    failed = [one for one in launches if one["StatusCode"] == "Cancelled"]
    assert len(failed) > 10
    assert {one["StatusMessage"] for one in failed} == {
        "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: it hurts"
    }
    assert fleet.bench.group.deaths_at_boot == len(failed)
    # The group never gives up, and never has more than one on the way.
    assert (fleet.desired, len(launches) - len(failed) <= 1) == (1, True)
    fleet.bench.launcher.broken.clear()
    fleet.bench.clock.advance(HOUR)
    fleet.bench.settle()
    assert fleet.states == ["InService"]


@rule(
    "BOOT-2", "Instances that are abandoned in a row count as deaths at boot.", "docs/operations/instances.md, Boot [U]"
)
def test_abandoned_boots_count(a_fleet: Make) -> None:
    fleet = waiting(a_fleet)
    for _ in range(3):
        complete(fleet, "ABANDON")
        fleet.bench.clock.advance(timedelta(minutes=1))
        fleet.bench.settle()
    assert fleet.bench.group.deaths_at_boot == 3
    assert "ABANDON" in fleet.bench.group.last_words


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("attach_instances", {"InstanceIds": ["i-0"]}),
        ("attach_load_balancer_target_groups", {"TargetGroupARNs": ["arn"]}),
        ("create_auto_scaling_group", {"MinSize": 0, "MaxSize": 1}),
        ("create_or_update_tags", {"Tags": [{"ResourceId": "a", "Key": "a"}]}),
        ("delete_auto_scaling_group", {}),
        ("detach_instances", {"InstanceIds": ["i-0"], "ShouldDecrementDesiredCapacity": True}),
        ("put_lifecycle_hook", {"LifecycleHookName": "told", "NotificationTargetARN": "arn:aws:sns:us-east-1:1:a"}),
        ("put_notification_configuration", {"TopicARN": "arn", "NotificationTypes": ["a"]}),
        ("put_scaling_policy", {"PolicyName": "busy", "PolicyType": "TargetTrackingScaling"}),
        ("put_scaling_policy", {"PolicyName": "seer", "PolicyType": "PredictiveScaling"}),
        ("put_scheduled_update_group_action", {"ScheduledActionName": "noon"}),
        ("put_warm_pool", {}),
        ("start_instance_refresh", {"Strategy": "ReplaceRootVolume"}),
        ("update_auto_scaling_group", {"CapacityRebalance": False}),
        ("update_auto_scaling_group", {"HealthCheckType": "ELB"}),
        ("update_auto_scaling_group", {"MaxInstanceLifetime": 86_400}),
        ("update_auto_scaling_group", {"TerminationPolicies": ["NewestInstance"]}),
    ],
)
@rule(
    "NONE-1",
    "What is not emulated is refused by name: warm pools, schedules, tracking, load balancers, lifetimes, and so on.",
    "[U]: a false success would be worse",
)
def test_what_is_not_emulated_is_refused(a_fleet: Make, call: str, arguments: dict[str, Any]) -> None:
    assert a_fleet(0).refused(call, "Local mode", **arguments) == "NotImplemented"
