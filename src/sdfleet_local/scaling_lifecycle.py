"""Auto Scaling's calls on instances that go: lifecycle actions, health, termination."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sdfleet.errors import LocalModeError
from sdfleet_local.group import LocalGroup
from sdfleet_local.groups import Groups
from sdfleet_local.member import LifecycleAction
from sdfleet_local.scaling_calls import Result, group_of
from sdfleet_local.scaling_errors import CallRefused, ValidationError
from sdfleet_local.scaling_wire import Request

_RESULTS = ("CONTINUE", "ABANDON")
_HEALTH = ("Healthy", "Unhealthy")


def complete_action(groups: Groups, request: Request) -> Result:
    """Its result is not kept: for an instance that goes, CONTINUE and ABANDON both end it."""
    group, wait = _wait(groups, request)
    if request.required("LifecycleActionResult") not in _RESULTS:
        raise ValidationError(f"LifecycleActionResult must be one of {', '.join(_RESULTS)}")
    group.complete(wait)
    return {}


def record_heartbeat(groups: Groups, request: Request) -> Result:
    group, wait = _wait(groups, request)
    group.extend(wait)
    return {}


def describe_hooks(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    wanted = request.texts("LifecycleHookNames")
    hook = group.hook
    if hook is None or (wanted and hook.name not in wanted):
        return {"LifecycleHooks": []}
    seconds = int(hook.heartbeat_timeout.total_seconds())
    shown = {
        "LifecycleHookName": hook.name,
        "AutoScalingGroupName": group.name,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": seconds,
        "GlobalTimeout": min(100 * seconds, 172_800),
        "DefaultResult": "CONTINUE",
    }
    return {"LifecycleHooks": [shown]}


def set_health(groups: Groups, request: Request) -> Result:
    instance_id, health = request.required("InstanceId"), request.required("HealthStatus")
    if health not in _HEALTH:
        raise ValidationError(f"HealthStatus must be one of {', '.join(_HEALTH)}")
    # No grace period here, whatever ShouldRespectGracePeriod says; and who is said to be healthy stays as it is.
    if health == "Unhealthy":
        _let_go(groups, instance_id, decrement=False, is_healthy=False)
    return None


def terminate_instance(groups: Groups, request: Request) -> Result:
    instance_id = request.required("InstanceId")
    decrement = request.required("ShouldDecrementDesiredCapacity") == "true"
    group = _let_go(groups, instance_id, decrement=decrement)
    return {
        "Activity": {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.name,
            "Cause": "An instance was taken out of service in response to a user request.",
            "Description": f"Terminating EC2 instance: {instance_id}",
            "Progress": 0,
            "StartTime": datetime.now(UTC),
            "StatusCode": "InProgress",
        }
    }


def _wait(groups: Groups, request: Request) -> tuple[LocalGroup, LifecycleAction]:
    hook = request.required("LifecycleHookName")
    group = group_of(groups, request)
    instance_id, token = request.text("InstanceId"), request.text("LifecycleActionToken")
    if instance_id is None and token is None:
        raise ValidationError("Either InstanceId or LifecycleActionToken must be given")
    try:
        action = group.lifecycle_action(hook, instance_id=instance_id, token=token)
    except LocalModeError as error:
        raise ValidationError(str(error)) from error
    if action is None:
        sought = f"token {token}" if token is not None else f"instance ID {instance_id}"
        raise ValidationError(f"No active Lifecycle Action found with {sought}")
    return group, action


def _let_go(groups: Groups, instance_id: str, *, decrement: bool, is_healthy: bool = True) -> LocalGroup:
    """Its group, which replaces it unless `decrement`."""
    try:
        group = groups.of(instance_id)
        group.terminate(instance_id, decrement=decrement, is_healthy=is_healthy)
    except CallRefused:
        raise
    except LocalModeError as error:
        raise ValidationError(
            f"Instance Id not found - No managed instance found for instance ID: {instance_id}"
        ) from error
    return group
