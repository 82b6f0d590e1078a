"""Keeps the record of rollouts: a minute's schedule, and Auto Scaling's events as nudges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from sdfleet.domain import names
from sdfleet.environment import RolloutEnvironment
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.group_permissions import group_permission, launch_permissions
from sdfleet_cdk.handlers import Handler, HandlerCode
from sdfleet_cdk.permissions import Permission
from sdfleet_cdk.runtime_fleet import RuntimeFleet
from sdfleet_cdk.table_permission import record_permission

#: A handful of calls for each of a few fleets, each repeated at worst.
_TIMEOUT = timedelta(minutes=1)
_MEMORY = 256
_EVERY = timedelta(minutes=1)
_NO_RESOURCES = "The call has no resources to name (Service Authorization Reference)."


class RolloutRecorder(Construct):
    def __init__(
        self, scope: Construct, construct_id: str, *, deployment: DeploymentContext, fleets: Sequence[RuntimeFleet]
    ) -> None:
        super().__init__(scope, construct_id)
        runtimes = tuple(fleet.runtime.name for fleet in fleets)
        groups = tuple(fleet.name for fleet in fleets)
        environment = RolloutEnvironment(
            deployment_id=deployment.deployment_id, table_name=deployment.environment.table_name, runtimes=runtimes
        )
        code = HandlerCode(
            module="rollout_recorder",
            description="Keeps the record of rollouts true",
            memory=_MEMORY,
            timeout=_TIMEOUT,
            environment=environment.to_env(),
            permissions=(
                Permission(
                    "SeeGroups",
                    (
                        "autoscaling:DescribeAutoScalingGroups",
                        "autoscaling:DescribeInstanceRefreshes",
                        "ec2:DescribeLaunchTemplateVersions",
                        "ec2:DescribeTags",
                    ),
                    ("*",),
                    reason=_NO_RESOURCES,
                ),
                group_permission(
                    self,
                    "MoveFleets",
                    (
                        "autoscaling:StartInstanceRefresh",
                        "autoscaling:CancelInstanceRefresh",
                        "autoscaling:RollbackInstanceRefresh",
                        # The floor of a rollout: MinSize.
                        "autoscaling:UpdateAutoScalingGroup",
                    ),
                    groups,
                ),
                Permission(
                    "SeeAlarms",
                    ("cloudwatch:DescribeAlarms",),
                    ("*",),
                    reason="The call is allowed for all alarms or for none, whichever it names (CloudWatch API"
                    " Reference, DescribeAlarms).",
                ),
                Permission(
                    "WatchTrials",
                    (
                        "cloudwatch:PutMetricAlarm",
                        "cloudwatch:SetAlarmState",
                        "cloudwatch:EnableAlarmActions",
                        "cloudwatch:DeleteAlarms",
                    ),
                    tuple(
                        _alarm_arn(self, alarm)
                        for runtime in runtimes
                        for alarm in names.trial_alarms(deployment.deployment_id, runtime)
                    ),
                ),
                *launch_permissions([fleet.instance_role.role.role_arn for fleet in fleets]),
                record_permission("KeepRecord", deployment.table, "GetItem", "PutItem"),
                Permission(
                    "ShowRelease",
                    ("ssm:GetParameter", "ssm:PutParameter"),
                    tuple(
                        _parameter_arn(self, names.release_parameter(deployment.deployment_id, runtime, "*"))
                        for runtime in runtimes
                    ),
                    reason="A fleet's parameters are its releases and its state, which it shows.",
                ),
            ),
        )
        self.handler = Handler(self, "Recorder", code=code, config=deployment.config, region=deployment.region)
        self.handler.repeat("EveryMinute", name=f"{deployment.deployment_id}-rollouts", every=_EVERY)
        events.Rule(
            self,
            "Refreshes",
            rule_name=f"{deployment.deployment_id}-refreshes",
            event_pattern=events.EventPattern(
                source=["aws.autoscaling"],
                # The names of all but the first two are not in the API's model: a prefix takes them all.
                detail_type=events.Match.prefix("EC2 Auto Scaling Instance Refresh"),
                detail={"AutoScalingGroupName": list(groups)},
            ),
            targets=[targets.LambdaFunction(self.handler.function, retry_attempts=2)],
        )


def _alarm_arn(scope: Construct, name: str) -> str:
    return cdk.Stack.of(scope).format_arn(
        service="cloudwatch", resource="alarm", resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )


def _parameter_arn(scope: Construct, path: str) -> str:
    return cdk.Stack.of(scope).format_arn(service="ssm", resource="parameter", resource_name=path.removeprefix("/"))
