"""A runtime's Auto Scaling group: Spot and On-Demand over several types and zones, with hooks at both ends."""

from __future__ import annotations

from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_logs as logs
from constructs import Construct

from sdfleet.config import RuntimeConfig
from sdfleet.domain import names
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.instance_role import InstanceRole
from sdfleet_cdk.launch_template import FleetLaunchTemplate
from sdfleet_cdk.nag import acknowledge
from sdfleet_cdk.network import Network
from sdfleet_cdk.release_parameters import LAUNCH_TEMPLATE_VERSION, current_value

#: What dashboard, alarms and the wake from zero read; group metrics cost nothing.
_GROUP_METRICS = (
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupTerminatingInstances",
)
#: EC2's own checks only: an instance that cannot work says so itself (SetInstanceHealth).
_HEALTH_CHECK = "EC2"


class RuntimeFleet(Construct):
    """Role, launch template and group of one runtime."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        context: DeploymentContext,
        runtime: RuntimeConfig,
        network: Network,
    ) -> None:
        super().__init__(scope, construct_id)
        self.runtime = runtime
        self.name = names.fleet_name(context.deployment_id, runtime.name)
        self.log_group = logs.CfnLogGroup(
            self,
            "Logs",
            log_group_name=names.fleet_log_group(context.deployment_id, runtime.name),
            retention_in_days=context.config.retention.log_days,
        )
        self.instance_role = InstanceRole(self, "Instance", context=context, runtime=runtime, log_group=self.log_group)
        self.launch_template = FleetLaunchTemplate(
            self,
            "Launch",
            context=context,
            runtime=runtime,
            network=network,
            profile=self.instance_role.profile,
        )
        self.group = self._make_group(context, network)
        # Instances may come with the group: what they may do, and their way out, is there before.
        self.group.node.add_dependency(self.instance_role.role, self.log_group, *network.ready)
        acknowledge(
            self.group,
            {
                "AS3": "Instances come and go with the queue; people are told when work waits, not at each launch.",
                "EC26": "The rule cannot follow a launch template whose version is a parameter. Every volume in it is"
                " encrypted; a test looks.",
            },
        )

    def _make_group(self, context: DeploymentContext, network: Network) -> autoscaling.CfnAutoScalingGroup:
        fleet = self.runtime.fleet
        version = current_value(
            self,
            "LaunchTemplateVersion",
            deployment_id=context.deployment_id,
            runtime=self.runtime.name,
            name=LAUNCH_TEMPLATE_VERSION,
        )
        properties = autoscaling.CfnAutoScalingGroup
        return autoscaling.CfnAutoScalingGroup(
            self,
            "Group",
            auto_scaling_group_name=self.name,
            min_size=str(fleet.min_size),
            max_size=str(fleet.max_size),
            # No desired capacity: a deployment would set the fleet back to it.
            vpc_zone_identifier=network.subnet_ids(fleet.zones),
            capacity_rebalance=fleet.capacity_rebalance,
            health_check_type=_HEALTH_CHECK,
            health_check_grace_period=0,
            default_instance_warmup=int(fleet.scaling.warmup.total_seconds()),
            cooldown=str(int(fleet.scaling.cooldown.total_seconds())),
            mixed_instances_policy=properties.MixedInstancesPolicyProperty(
                instances_distribution=properties.InstancesDistributionProperty(
                    on_demand_allocation_strategy="lowest-price",
                    on_demand_base_capacity=fleet.on_demand_base,
                    # Auto Scaling's own default is 100: no Spot at all.
                    on_demand_percentage_above_base_capacity=fleet.on_demand_percentage,
                    spot_allocation_strategy=fleet.allocation_strategy.value,
                ),
                launch_template=properties.LaunchTemplateProperty(
                    launch_template_specification=properties.LaunchTemplateSpecificationProperty(
                        launch_template_id=self.launch_template.template_id, version=version
                    ),
                    overrides=[
                        properties.LaunchTemplateOverridesProperty(instance_type=one) for one in fleet.instance_types
                    ],
                ),
            ),
            # In the group, not beside it: they must hold its first instances too.
            lifecycle_hook_specification_list=[
                properties.LifecycleHookSpecificationProperty(
                    lifecycle_hook_name=names.launch_hook_name(context.deployment_id, self.runtime.name),
                    lifecycle_transition="autoscaling:EC2_INSTANCE_LAUNCHING",
                    heartbeat_timeout=int(self.runtime.launch_hook_timeout.total_seconds()),
                    # Who has not said that it works never gets into service.
                    default_result="ABANDON",
                ),
                properties.LifecycleHookSpecificationProperty(
                    lifecycle_hook_name=names.termination_hook_name(context.deployment_id, self.runtime.name),
                    lifecycle_transition="autoscaling:EC2_INSTANCE_TERMINATING",
                    heartbeat_timeout=int(self.runtime.termination_hook_timeout.total_seconds()),
                    default_result="CONTINUE",
                ),
            ],
            metrics_collection=[
                properties.MetricsCollectionProperty(granularity="1Minute", metrics=list(_GROUP_METRICS))
            ],
            # Not the release: an instance has that from its launch template, and a tag of the group's would win.
            tags=[
                properties.TagPropertyProperty(key=key, value=value, propagate_at_launch=True)
                for key, value in (
                    ("sdfleet-deployment", context.deployment_id),
                    ("sdfleet-runtime", self.runtime.name),
                )
            ],
        )
