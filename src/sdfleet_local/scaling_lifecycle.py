"""Auto Scaling's calls on lifecycle hooks and their actions. Rules: the service's API reference."""

from __future__ import annotations

from datetime import timedelta

from sdfleet.errors import LocalModeError
from sdfleet_local.group import LocalGroup
from sdfleet_local.groups import Groups
from sdfleet_local.scaling_calls import Result, group_of
from sdfleet_local.scaling_errors import NotEmulated, ValidationError
from sdfleet_local.scaling_hooks import (
    DEFAULT_HEARTBEAT_TIMEOUT,
    HookResult,
    LifecycleAction,
    LifecycleHook,
    Transition,
)
from sdfleet_local.scaling_wire import Request

#: PutLifecycleHook: "The range is from 30 to 7200 seconds."
_SHORTEST_TIMEOUT_S = 30
_LONGEST_TIMEOUT_S = 7_200


def put_hook(groups: Groups, request: Request) -> Result:
    group, name = group_of(groups, request), request.required("LifecycleHookName")
    told = [one for one in ("NotificationTargetARN", "RoleARN", "NotificationMetadata") if request.text(one)]
    if told:
        raise NotEmulated(f"Local mode notifies nobody of lifecycle actions; leave out {', '.join(told)}.")
    old = next((hook for hook in group.hooks() if hook.name == name), None)
    transition: str | None = request.one_of("LifecycleTransition", tuple(Transition))
    if transition is None and old is not None:
        transition = old.transition
    if transition is None:
        raise ValidationError("LifecycleTransition is required for a new lifecycle hook")
    seconds = request.integer("HeartbeatTimeout", least=_SHORTEST_TIMEOUT_S, most=_LONGEST_TIMEOUT_S)
    result = request.one_of("DefaultResult", tuple(HookResult))
    group.put_hook(
        LifecycleHook(
            name,
            Transition(transition),
            timedelta(seconds=seconds)
            if seconds is not None
            else (old.heartbeat_timeout if old else DEFAULT_HEARTBEAT_TIMEOUT),
            HookResult(result) if result else (old.default_result if old else HookResult.ABANDON),
        )
    )
    return {}


def delete_hook(groups: Groups, request: Request) -> Result:
    group, name = group_of(groups, request), request.required("LifecycleHookName")
    _check_hook(group, name)
    group.delete_hook(name)
    return {}


def describe_hooks(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    wanted = request.texts("LifecycleHookNames")
    return {
        "LifecycleHooks": [hook.to_answer(group.name) for hook in group.hooks() if not wanted or hook.name in wanted]
    }


def describe_hook_types(_groups: Groups, _request: Request) -> Result:
    return {"LifecycleHookTypes": [one.value for one in Transition]}


def complete_action(groups: Groups, request: Request) -> Result:
    group, wait = _wait(groups, request)
    result = request.required("LifecycleActionResult")
    if result not in tuple(HookResult):
        raise ValidationError(f"LifecycleActionResult must be one of {', '.join(HookResult)}")
    group.complete(wait, HookResult(result))
    return {}


def record_heartbeat(groups: Groups, request: Request) -> Result:
    group, wait = _wait(groups, request)
    group.extend(wait)
    return {}


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


def _check_hook(group: LocalGroup, name: str) -> None:
    """Raises:
    ValidationError: the group has no such hook. The text is Auto Scaling's [X].
    """
    if all(hook.name != name for hook in group.hooks()):
        raise ValidationError(f"No Lifecycle Hook found with name: {name}")
