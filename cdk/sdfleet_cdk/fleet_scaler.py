"""The fast scaler: a function that a task wakes and that ends by itself, its rule, and the topic between."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from sdfleet.config import Config, RuntimeConfig
from sdfleet.domain import names
from sdfleet.scaler_environment import FleetScalerEnvironment, ScaledFleetEnvironment
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.group_permissions import group_permission, launch_permissions
from sdfleet_cdk.handlers import Handler, HandlerCode
from sdfleet_cdk.permissions import Permission
from sdfleet_cdk.runtime_fleet import RuntimeFleet
from sdfleet_cdk.table_permission import record_permission

#: It stays 65 s, and a look at a few fleets takes a second or two.
_TIMEOUT = timedelta(seconds=90)
#: It mostly sleeps, and memory is what sleeping costs.
_MEMORY = 256
_PERIOD = timedelta(minutes=1)


class ScalerWake(Construct):
    """What tells the scaler of a task: whoever publishes a task publishes here too, if nobody decides at present."""

    def __init__(self, scope: Construct, construct_id: str, *, config: Config) -> None:
        super().__init__(scope, construct_id)
        self.runtimes = scaled_runtimes(config)
        self.topic = sns.Topic(self, "Topic", topic_name=names.wake_topic_name(config.stack_name), enforce_ssl=True)


class FleetScaler(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        deployment: DeploymentContext,
        fleets: Sequence[RuntimeFleet],
        wake: ScalerWake,
    ) -> None:
        """`fleets`: those of the runtimes that `wake` names."""
        super().__init__(scope, construct_id)
        rule_name = names.scaler_schedule_name(deployment.deployment_id)
        environment = FleetScalerEnvironment(
            deployment_id=deployment.deployment_id,
            table_name=deployment.environment.table_name,
            fleets=tuple(_scaled(deployment, fleet.runtime) for fleet in fleets),
        )
        code = HandlerCode(
            module="fleet_scaler",
            description="Turns queue depth into instances within seconds",
            memory=_MEMORY,
            timeout=_TIMEOUT,
            environment=environment.to_env(),
            permissions=(
                Permission(
                    "SeeGroups",
                    ("autoscaling:DescribeAutoScalingGroups",),
                    ("*",),
                    reason="The call has no resources to name (Service Authorization Reference).",
                ),
                group_permission(
                    self,
                    "ChangeCapacity",
                    (
                        "autoscaling:SetDesiredCapacity",
                        "autoscaling:TerminateInstanceInAutoScalingGroup",
                        # What an operator's `sdfleet scale --for` has suspended.
                        "autoscaling:ResumeProcesses",
                    ),
                    [fleet.name for fleet in fleets],
                ),
                *_fallback_permissions(self, fleets),
                Permission(
                    "CountMessages",
                    ("sqs:GetQueueAttributes",),
                    tuple(deployment.fleet_queues[fleet.runtime.name].queue.queue_arn for fleet in fleets),
                ),
                record_permission("Remember", deployment.table, "GetItem", "BatchGetItem", "PutItem"),
                Permission(
                    "SwitchSchedule",
                    ("events:EnableRule", "events:DisableRule"),
                    (cdk.Stack.of(self).format_arn(service="events", resource="rule", resource_name=rule_name),),
                ),
            ),
        )
        self.handler = Handler(self, "Scaler", code=code, config=deployment.config, region=deployment.region)
        wake.topic.add_subscription(subscriptions.LambdaSubscription(self.handler.function))
        # Off: the function switches it on when it has been woken, and off when nothing is left to decide.
        # CloudFormation touches the state only when this line changes.
        events.Rule(
            self,
            "EveryMinute",
            rule_name=rule_name,
            enabled=False,
            schedule=events.Schedule.rate(cdk.Duration.minutes(int(_PERIOD.total_seconds()) // 60)),
            targets=[
                targets.LambdaFunction(self.handler.function, retry_attempts=0, max_event_age=cdk.Duration.minutes(1))
            ],
        )


def scaled_runtimes(config: Config) -> tuple[str, ...]:
    """Names of the runtimes whose fleets have the fast scaler."""
    return tuple(runtime.name for runtime in config.runtimes if runtime.fleet.scaling.fast_scaler)


def _scaled(deployment: DeploymentContext, runtime: RuntimeConfig) -> ScaledFleetEnvironment:
    scaling = runtime.fleet.scaling
    return ScaledFleetEnvironment(
        runtime.name,
        deployment.fleet_queues[runtime.name].queue.queue_url,
        target_queue_s=scaling.target_queue_s,
        idle_after_s=scaling.cooldown_s,
        surplus_after_s=scaling.surplus_idle_s,
        most_boot_failures=scaling.most_boot_failures,
        fallback_after_s=scaling.on_demand_fallback_s,
        return_after_s=scaling.on_demand_return_s,
    )


def _fallback_permissions(scope: Construct, fleets: Sequence[RuntimeFleet]) -> tuple[Permission, ...]:
    """To set a group's On-Demand base."""
    falling_back = [fleet for fleet in fleets if fleet.runtime.fleet.scaling.on_demand_fallback_s is not None]
    if not falling_back:
        return ()
    names_of_groups = [fleet.name for fleet in falling_back]
    return (
        group_permission(scope, "BuyOnDemand", ("autoscaling:UpdateAutoScalingGroup",), names_of_groups),
        *launch_permissions([fleet.instance_role.role.role_arn for fleet in falling_back]),
    )
