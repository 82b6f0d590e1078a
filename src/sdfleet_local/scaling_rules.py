"""The policies and alarms of a fleet, as the template makes them (`sdfleet_cdk.fleet_scaling`); a test compares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sdfleet.aws.operator_errors import explained
from sdfleet.domain import scaling
from sdfleet.domain.scaling import Interval, StepTable
from sdfleet_local.scaling_metrics import MINUTE
from sdfleet_local.scaling_policies import AdjustmentType, Aggregation, Policy, PolicyBook, PolicyType, StepAdjustment

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


@dataclass(frozen=True)
class FleetRules:
    #: A fleet's queue has its group's name.
    fleet: str
    table: StepTable
    #: A multiple of a minute.
    idle_after: timedelta

    def put(self, policies: PolicyBook, cloudwatch: CloudWatchClient) -> None:
        """Raises:
        DeploymentError: the endpoint does not answer.
        """
        table = self.table
        grow = self._policy("scale-out", _steps(table.intervals()))
        # Added, not set: "exactly 1" would cut a fleet that something else has woken since the metric's minute.
        wake = self._policy("wake", _steps((Interval(0, None, scaling.WAKE_CAPACITY),)))
        # Below the threshold, which belongs to it.
        shrink = self._policy("scale-in", (StepAdjustment(None, 0, -scaling.SCALE_IN_STEP),))
        minutes = self.idle_after // MINUTE
        visible = self._queue("visible", "ApproximateNumberOfMessagesVisible")
        alarms: list[dict[str, Any]] = [
            {
                **visible["MetricStat"]["Metric"],
                "AlarmDescription": f"{table.threshold} or more messages wait: more instances, by the step table.",
                "Statistic": "Maximum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": table.threshold,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                **self._action("scale-out", policies.put(grow)),
            },
            {
                "AlarmDescription": "A message waits and the fleet is at zero: the first instance.",
                "Metrics": [
                    _expression("IF(FILL(desired, 0) < 1 AND visible > 0, 1, 0)", "waiting at zero"),
                    visible,
                    _query("desired", "AWS/AutoScaling", "GroupDesiredCapacity", "AutoScalingGroupName", self.fleet),
                ],
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                **self._action("wake", policies.put(wake)),
            },
            {
                "AlarmDescription": "Nothing waits and nothing runs: one instance fewer.",
                "Metrics": [
                    _expression("visible + inflight", "messages"),
                    visible,
                    self._queue("inflight", "ApproximateNumberOfMessagesNotVisible"),
                ],
                "EvaluationPeriods": minutes,
                "DatapointsToAlarm": minutes,
                "Threshold": 0,
                "ComparisonOperator": "LessThanOrEqualToThreshold",
                "TreatMissingData": "ignore",
                **self._action("scale-in", policies.put(shrink)),
            },
        ]
        for alarm in alarms:
            with explained():
                cloudwatch.put_metric_alarm(**alarm)

    def _policy(self, name: str, steps: tuple[StepAdjustment, ...]) -> Policy:
        return Policy(
            name=f"{self.fleet}-{name}",
            group=self.fleet,
            type=PolicyType.STEP,
            adjustment_type=AdjustmentType.CHANGE,
            steps=steps,
            aggregation=Aggregation.MAXIMUM,
        )

    def _action(self, name: str, policy: Policy) -> dict[str, Any]:
        return {"AlarmName": f"{self.fleet}-{name}", "AlarmActions": [policy.arn]}

    def _queue(self, query_id: str, metric: str) -> dict[str, Any]:
        return _query(query_id, "AWS/SQS", metric, "QueueName", self.fleet)


def _steps(intervals: tuple[Interval, ...]) -> tuple[StepAdjustment, ...]:
    return tuple(StepAdjustment(one.lower, one.upper, one.add) for one in intervals)


def _query(query_id: str, namespace: str, metric: str, dimension: str, value: str) -> dict[str, Any]:
    named = {"Namespace": namespace, "MetricName": metric, "Dimensions": [{"Name": dimension, "Value": value}]}
    return {"Id": query_id, "ReturnData": False, "MetricStat": {"Metric": named, "Period": 60, "Stat": "Maximum"}}


def _expression(formula: str, label: str) -> dict[str, Any]:
    return {"Id": "value", "Expression": formula, "Label": label, "ReturnData": True}
