"""The alarms on one release, as PutMetricAlarm takes them.

Of the release on trial alone: a fifth of a fleet does not show in the fleet's own rates.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sdfleet.domain import names
from sdfleet.domain.trial import FAILURE_FORMULA, TrialLimits

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, PutMetricAlarmInputTypeDef

#: A canary's bake is a quarter of an hour unless somebody says otherwise: it must show within a third of it.
PERIOD = timedelta(minutes=5)


def definitions(
    deployment_id: str, runtime: str, release: str, limits: TrialLimits
) -> tuple[PutMetricAlarmInputTypeDef, ...]:
    """In the order of `names.trial_alarms`."""
    fleet = names.fleet_name(deployment_id, runtime)
    failures, unready, dead_letters = names.trial_alarms(deployment_id, runtime)
    runs = {"good": names.TASKS_SUCCEEDED, "bad": names.TRIES_FAILED}
    return (
        _alarm(
            failures,
            "The release on trial fails too many tasks, and more than the rest of the fleet; its rollout goes back.",
            limits,
            threshold=limits.failure_percentage,
            formula=FAILURE_FORMULA,
            label="percent failed",
            queries=[
                *(_sum(query_id, metric, fleet, release) for query_id, metric in runs.items()),
                *(_sum(f"all{query_id}", metric, fleet) for query_id, metric in runs.items()),
            ],
        ),
        _alarm(
            unready,
            "Runtimes of the release on trial have been away for minutes; its rollout goes back.",
            limits,
            threshold=1,
            formula="unready",
            label="reports",
            queries=[_sum("unready", names.INSTANCES_UNREADY, fleet, release)],
        ),
        _alarm(
            dead_letters,
            "The release on trial cannot read messages that it gets; its rollout goes back.",
            limits,
            threshold=limits.dead_letters,
            formula="letters",
            label="dead letters",
            queries=[_sum("letters", names.DEAD_LETTERS, fleet, release)],
        ),
    )


def _alarm(
    name: str,
    description: str,
    limits: TrialLimits,
    *,
    threshold: float,
    formula: str,
    label: str,
    queries: list[MetricDataQueryTypeDef],
) -> PutMetricAlarmInputTypeDef:
    """Rings when `formula` is at `threshold` or above."""
    return {
        "AlarmName": name,
        "AlarmDescription": description,
        "Metrics": [{"Id": "value", "Expression": formula, "Label": label, "ReturnData": True}, *queries],
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        # Nothing was counted: nothing happened.
        "TreatMissingData": "notBreaching",
        "AlarmActions": [limits.topic_arn],
        "OKActions": [limits.topic_arn],
    }


def _sum(query_id: str, metric: str, fleet: str, release: str | None = None) -> MetricDataQueryTypeDef:
    """Of the fleet; of one release in it."""
    dimensions = {names.FLEET_DIMENSION: fleet}
    if release is not None:
        dimensions[names.RELEASE_DIMENSION] = release
    return {
        "Id": query_id,
        "ReturnData": False,
        "MetricStat": {
            "Metric": {
                "Namespace": names.METRIC_NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            },
            "Period": int(PERIOD.total_seconds()),
            "Stat": "Sum",
        },
    }
