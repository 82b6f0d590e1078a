"""What it takes to change a fleet's group."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from constructs import Construct

from sdfleet_cdk.permissions import Permission


def group_permission(scope: Construct, sid: str, actions: tuple[str, ...], groups: Sequence[str]) -> Permission:
    """To do `actions` to the groups of these names."""
    return Permission(
        sid,
        actions,
        tuple(_group_arn(scope, group) for group in groups),
        reason="A group's ARN holds an id that AWS makes; its name is whole.",
    )


def launch_permissions(instance_roles: Sequence[str]) -> tuple[Permission, ...]:
    """Whoever changes what a group launches must be allowed to launch it: Auto Scaling asks (User Guide,
    "Control Amazon EC2 launch template usage in Auto Scaling groups"). `instance_roles`: ARNs.
    """
    return (
        Permission(
            "LaunchByTemplate",
            ("ec2:RunInstances",),
            ("*",),
            reason="Whatever the fleets' launch templates name: images, networks, disks, types.",
            conditions={"Bool": {"ec2:IsLaunchTemplateResource": "true"}},
        ),
        Permission(
            "TagWhatIsLaunched",
            ("ec2:CreateTags",),
            ("*",),
            reason="Instances and volumes that are being launched have no names yet.",
            conditions={"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        ),
        Permission(
            "PassInstanceRoles",
            ("iam:PassRole",),
            tuple(instance_roles),
            conditions={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
    )


def _group_arn(scope: Construct, group: str) -> str:
    return cdk.Stack.of(scope).format_arn(
        service="autoscaling",
        resource="autoScalingGroup",
        resource_name=f"*:autoScalingGroupName/{group}",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
