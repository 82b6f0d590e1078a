"""Auto Scaling's four calls on instance refreshes. Rules: the service's API reference."""

from __future__ import annotations

from sdfleet_local.groups import Groups
from sdfleet_local.refresh_preferences import read_preferences
from sdfleet_local.scaling_calls import Result, group_of
from sdfleet_local.scaling_errors import ValidationError
from sdfleet_local.scaling_templates import read_configuration
from sdfleet_local.scaling_wire import Request

#: DescribeInstanceRefreshes: "The default value is 50 and the maximum value is 100."
_PAGE = 50
_MOST_RECORDS = 100


def start_refresh(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    given = request.structure("DesiredConfiguration")
    desired = None if given is None else read_configuration(given, group.templates)
    if given is not None and desired is None:
        # DesiredConfiguration: "you must specify either a LaunchTemplate or a MixedInstancesPolicy".
        raise ValidationError("DesiredConfiguration must have either a LaunchTemplate or a MixedInstancesPolicy.")
    preferences = read_preferences(
        request, has_desired_configuration=desired is not None, default_warmup=group.scaling.refresh_warmup
    )
    return {"InstanceRefreshId": group.start_refresh(preferences, desired)}


def describe_refreshes(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    page = request.page(default=_PAGE, most=_MOST_RECORDS)
    records = group.refreshes(request.texts("InstanceRefreshIds"))
    return {
        "InstanceRefreshes": [record.to_answer() for record in page.of(records)],
        "NextToken": page.following(len(records)),
    }


def cancel_refresh(groups: Groups, request: Request) -> Result:
    waits = request.flag("WaitForTransitioningInstances") is not False
    return {"InstanceRefreshId": group_of(groups, request).cancel_refresh(waits=waits)}


def roll_back_refresh(groups: Groups, request: Request) -> Result:
    return {"InstanceRefreshId": group_of(groups, request).roll_back_refresh()}
