"""Step scaling by the queue's depth, and the wake from zero: the safety net below the fast scaler.

The numbers come from `sdfleet.domain.scaling`. SQS publishes its metrics once a minute, and stops on a queue that has
been idle for hours until it is used again.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sdfleet.domain import names, scaling
from sdfleet.domain.scaling import Interval
from sdfleet_cdk.metric_queries import PERIOD_S, expression, group_metric, in_flight_messages, visible_messages
from sdfleet_cdk.metrics_agent import GPU_METRIC_PREFIX
from sdfleet_cdk.runtime_fleet import RuntimeFleet


class FleetScaling(Construct):
    """Policies and alarms of one fleet."""

    def __init__(self, scope: Construct, construct_id: str, *, fleet: RuntimeFleet) -> None:
        super().__init__(scope, construct_id)
        self._fleet = fleet
        # A fleet's queue has its group's name.
        self._queue = fleet.name
        self._grow()
        self._wake()
        self._shrink()
        target = fleet.runtime.fleet.scaling.gpu_utilisation_target
        if target is not None:
            self._keep_busy(target)

    def _grow(self) -> None:
        table = self._fleet.runtime.fleet.scaling.step_table
        policy = self._step_policy("Grow", table.intervals())
        visible = visible_messages(self._queue)
        properties = cloudwatch.CfnAlarm
        cloudwatch.CfnAlarm(
            self,
            "Waiting",
            alarm_name=f"{self._fleet.name}-scale-out",
            alarm_description=f"{table.threshold} or more messages wait: more instances, by the step table.",
            namespace=visible.namespace,
            metric_name=visible.metric,
            dimensions=[properties.DimensionProperty(name=name, value=value) for name, value in visible.dimensions],
            statistic=visible.statistic,
            period=PERIOD_S,
            evaluation_periods=1,
            threshold=table.threshold,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[policy.ref],
        )

    def _wake(self) -> None:
        # Added, not set: "exactly 1" would cut a fleet that the fast scaler has woken since the metric's minute.
        policy = self._step_policy("Wake", (Interval(0, None, scaling.WAKE_CAPACITY),))
        desired = group_metric("desired", "GroupDesiredCapacity", self._fleet.name)
        cloudwatch.CfnAlarm(
            self,
            "Asleep",
            alarm_name=f"{self._fleet.name}-wake",
            alarm_description="A message waits and the fleet is at zero: the first instance.",
            # FILL: a group that has never had an instance may have no such metric.
            metrics=expression(
                "IF(FILL(desired, 0) < 1 AND visible > 0, 1, 0)",
                "waiting at zero",
                [visible_messages(self._queue), desired],
            ),
            evaluation_periods=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[policy.ref],
        )

    def _shrink(self) -> None:
        policy = self._step_policy("Shrink", (Interval(0, None, -scaling.SCALE_IN_STEP),), is_upper=True)
        minutes = int(self._fleet.runtime.fleet.scaling.cooldown.total_seconds()) // PERIOD_S
        cloudwatch.CfnAlarm(
            self,
            "Empty",
            alarm_name=f"{self._fleet.name}-scale-in",
            alarm_description="Nothing waits and nothing runs: one instance fewer.",
            metrics=expression(
                "visible + inflight",
                "messages",
                [visible_messages(self._queue), in_flight_messages(self._queue)],
            ),
            evaluation_periods=minutes,
            datapoints_to_alarm=minutes,
            threshold=0,
            comparison_operator="LessThanOrEqualToThreshold",
            # A queue that falls silent was empty before; one that was not keeps its instances.
            treat_missing_data="ignore",
            alarm_actions=[policy.ref],
        )

    def _step_policy(
        self, name: str, intervals: Sequence[Interval], *, is_upper: bool = False
    ) -> autoscaling.CfnScalingPolicy:
        """`is_upper`: the one interval lies below the threshold, which belongs to it."""
        properties = autoscaling.CfnScalingPolicy
        return autoscaling.CfnScalingPolicy(
            self,
            name,
            auto_scaling_group_name=self._fleet.group.ref,
            policy_type="StepScaling",
            adjustment_type="ChangeInCapacity",
            metric_aggregation_type="Maximum",
            step_adjustments=[
                properties.StepAdjustmentProperty(
                    metric_interval_lower_bound=None if is_upper else interval.lower,
                    metric_interval_upper_bound=interval.lower if is_upper else interval.upper,
                    scaling_adjustment=interval.add,
                )
                for interval in intervals
            ],
        )

    def _keep_busy(self, target: int) -> None:
        """Beside the queue: more instances while the GPUs are above the target. Only the queue takes any away."""
        properties = autoscaling.CfnScalingPolicy
        autoscaling.CfnScalingPolicy(
            self,
            "GpuUtilisation",
            auto_scaling_group_name=self._fleet.group.ref,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration=properties.TargetTrackingConfigurationProperty(
                target_value=target,
                disable_scale_in=True,
                customized_metric_specification=properties.CustomizedMetricSpecificationProperty(
                    namespace=names.METRIC_NAMESPACE,
                    metric_name=f"{GPU_METRIC_PREFIX}utilization_gpu",
                    dimensions=[properties.MetricDimensionProperty(name=names.FLEET_DIMENSION, value=self._fleet.name)],
                    statistic="Average",
                    unit="Percent",
                ),
            ),
        )
