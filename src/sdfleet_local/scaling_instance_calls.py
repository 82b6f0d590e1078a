"""Auto Scaling's calls on single instances: protection, health, standby, their end. Rules: its API reference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sdfleet.errors import LocalModeError
from sdfleet_local.group import LocalGroup
from sdfleet_local.groups import Groups
from sdfleet_local.scaling_activities import Activity
from sdfleet_local.scaling_calls import Result, group_of
from sdfleet_local.scaling_errors import CallRefused, NotEmulated, ValidationError
from sdfleet_local.scaling_wire import Request

_HEALTH = ("Healthy", "Unhealthy")
#: SetInstanceProtection: "You can specify up to 50 instances."
_MOST_PROTECTED = 50
#: EnterStandby, ExitStandby: "You can specify up to 20 instances."
_MOST_ON_STANDBY = 20
#: TerminateInstanceInAutoScalingGroup, InstanceIds: "up to 100 instances".
_MOST_TERMINATED = 100
#: DescribeScalingActivities: "The default value is 100 and the maximum value is 100."
_PAGE = 100


def set_protection(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    request.required("ProtectedFromScaleIn")
    ids = _ids_of(group, request, most=_MOST_PROTECTED)
    group.protect(ids, is_protected=request.flag("ProtectedFromScaleIn") is True)
    return {}


def set_health(groups: Groups, request: Request) -> Result:
    instance_id, health = request.required("InstanceId"), request.required("HealthStatus")
    if health not in _HEALTH:
        raise ValidationError(f"HealthStatus must be one of {', '.join(_HEALTH)}")
    respects_grace = request.flag("ShouldRespectGracePeriod") is not False
    group = _group_with(groups, instance_id)
    group.set_health(instance_id, is_healthy=health == "Healthy", respects_grace=respects_grace)
    return None


def enter_standby(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    request.required("ShouldDecrementDesiredCapacity")
    decrement = request.flag("ShouldDecrementDesiredCapacity") is True
    ids = _ids_of(group, request, most=_MOST_ON_STANDBY)
    return {"Activities": _shown(group, group.enter_standby(ids, decrement=decrement))}


def exit_standby(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    ids = _ids_of(group, request, most=_MOST_ON_STANDBY)
    return {"Activities": _shown(group, group.exit_standby(ids))}


def terminate_instances(groups: Groups, request: Request) -> Result:
    request.required("ShouldDecrementDesiredCapacity")
    decrement = request.flag("ShouldDecrementDesiredCapacity") is True
    if request.has("InstanceIds"):
        if request.has("InstanceId"):
            raise ValidationError("Specify either InstanceId or InstanceIds, not both")
        group = group_of(groups, request)
        return {
            "Activities": [_let_go(group, one, decrement) for one in _ids_of(group, request, most=_MOST_TERMINATED)]
        }
    instance_id = request.required("InstanceId")
    return {"Activity": _let_go(_group_with(groups, instance_id), instance_id, decrement)}


def describe_activities(groups: Groups, request: Request) -> Result:
    if request.has("Filters"):
        raise NotEmulated("Local mode does not filter scaling activities; name a group, or their ids.")
    chosen = [group_of(groups, request)] if request.has("AutoScalingGroupName") else list(groups)
    ids = request.texts("ActivityIds")
    shown = [one for group in chosen for one in _shown(group, group.activities(ids))]
    page = request.page(default=_PAGE, most=_PAGE)
    return {"Activities": page.of(shown), "NextToken": page.following(len(shown))}


def _ids_of(group: LocalGroup, request: Request, *, most: int) -> tuple[str, ...]:
    """Raises:
    ValidationError: too many, or not the group's.
    """
    ids = request.texts("InstanceIds")
    if not 0 < len(ids) <= most:
        raise ValidationError(f"InstanceIds must name 1 to {most} instances, not {len(ids)}.")
    for instance_id in ids:
        if not group.has(instance_id):
            raise ValidationError(f"The instance {instance_id} is not part of Auto Scaling group {group.name}.")
    return ids


def _group_with(groups: Groups, instance_id: str) -> LocalGroup:
    """Raises:
    ValidationError: no group has such an instance. The text is Auto Scaling's.
    """
    try:
        return groups.of(instance_id)
    except LocalModeError as error:
        raise ValidationError(
            f"Instance Id not found - No managed instance found for instance ID: {instance_id}"
        ) from error


def _let_go(group: LocalGroup, instance_id: str, decrement: bool) -> dict[str, Any]:
    """The activity."""
    try:
        activity = group.terminate(instance_id, decrement=decrement)
    except CallRefused:
        raise
    except LocalModeError as error:
        raise ValidationError(
            f"Instance Id not found - No managed instance found for instance ID: {instance_id}"
        ) from error
    if activity is None:
        # Its own end has no activity: the deployment stops.
        now = datetime.now(UTC)
        activity = Activity(f"Terminating EC2 instance: {instance_id}", "The group ends.", now, instance_id)
    return _shown(group, [activity])[0]


def _shown(group: LocalGroup, activities: Sequence[Activity]) -> list[dict[str, Any]]:
    arn = group.describe_group().arn
    return [one.to_answer(group.name, arn) for one in activities]
