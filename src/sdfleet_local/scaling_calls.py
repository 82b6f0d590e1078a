"""Auto Scaling's calls on groups: what they show and how large they are. Rules: the service's API reference."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sdfleet_local.group import LocalGroup
from sdfleet_local.groups import Groups
from sdfleet_local.scaling_changes import GroupChange
from sdfleet_local.scaling_errors import NotEmulated, ValidationError
from sdfleet_local.scaling_templates import read_configuration
from sdfleet_local.scaling_wire import Request

#: Parameters of UpdateAutoScalingGroup that act here. What else it can set would be a false success.
_CHANGEABLE = {
    "MinSize", "MaxSize", "DesiredCapacity", "LaunchTemplate", "MixedInstancesPolicy", "HealthCheckGracePeriod",
    "DefaultCooldown", "DefaultInstanceWarmup", "NewInstancesProtectedFromScaleIn",
}  # fmt: skip
_OF_EVERY_CALL = {"Action", "Version", "AutoScalingGroupName"}
#: A page of any describe call: API reference, MaxRecords.
_MOST_RECORDS = 100

Result = dict[str, Any] | None


def group_of(groups: Groups, request: Request) -> LocalGroup:
    """Raises:
    ValidationError: there is none of that name. The text is Auto Scaling's.
    """
    name = request.required("AutoScalingGroupName")
    group = groups.named(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    return group


def describe_groups(groups: Groups, request: Request) -> Result:
    """All of them, or those named; an unknown name is passed over. A deployment has less than a page."""
    if request.has("Filters"):
        raise NotEmulated("Local mode does not filter groups by tags; name them.")
    request.integer("MaxRecords", least=1, most=_MOST_RECORDS)
    wanted = request.texts("AutoScalingGroupNames")
    has_instances = request.flag("IncludeInstances") is not False
    shown = [group.describe_group() for group in groups if not wanted or group.name in wanted]
    return {"AutoScalingGroups": [group.to_answer(has_instances=has_instances) for group in shown]}


def describe_instances(groups: Groups, request: Request) -> Result:
    wanted = request.texts("InstanceIds")
    shown = [
        {**member.to_answer(), "AutoScalingGroupName": group.name}
        for group in groups
        for member in group.describe_group().members
        if not wanted or member.instance_id in wanted
    ]
    return {"AutoScalingInstances": shown}


def update_group(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    others = sorted(set(request.values) - _CHANGEABLE - _OF_EVERY_CALL)
    if others:
        raise NotEmulated(f"Local mode cannot change {', '.join(others)} of a group.")
    group.update(
        GroupChange(
            desired=request.integer("DesiredCapacity"),
            minimum=request.integer("MinSize"),
            maximum=request.integer("MaxSize"),
            configuration=read_configuration(request, group.templates, current=group.configuration),
            grace=_seconds(request.integer("HealthCheckGracePeriod")),
            cooldown=_seconds(request.integer("DefaultCooldown")),
            warmup=_seconds(request.integer("DefaultInstanceWarmup", least=-1)),
            protects_new=request.flag("NewInstancesProtectedFromScaleIn"),
        )
    )
    return None


def set_desired_capacity(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    request.required("DesiredCapacity")
    honors_cooldown = request.flag("HonorCooldown") or False
    group.resize(desired=request.integer("DesiredCapacity"), honors_cooldown=honors_cooldown)
    return None


def describe_tags(groups: Groups, _request: Request) -> Result:
    """A local group has no tags of its own: its instances have those of the launch template."""
    return {"Tags": []}


def _seconds(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)
