"""Metrics as alarms and dashboard ask for them: by name, dimension and statistic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch

from sdfleet.domain import names

#: The resolution of AWS's own metrics; an alarm on them cannot look more often.
PERIOD_S = 60


@dataclass(frozen=True)
class Query:
    """One metric. Its id is its name in an expression."""

    id: str
    namespace: str
    metric: str
    #: Names and values.
    dimensions: tuple[tuple[str, str], ...]
    statistic: str = "Maximum"
    period_s: int = PERIOD_S


def visible_messages(queue_name: str) -> Query:
    return Query("visible", "AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", queue_name),))


def in_flight_messages(queue_name: str) -> Query:
    return Query("inflight", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", (("QueueName", queue_name),))


def group_metric(query_id: str, metric: str, group_name: str) -> Query:
    return Query(query_id, "AWS/AutoScaling", metric, (("AutoScalingGroupName", group_name),))


def fleet_metric(query_id: str, metric: str, fleet: str, *, statistic: str = "Sum", period_s: int = PERIOD_S) -> Query:
    """One of the product's own."""
    return Query(
        query_id,
        names.METRIC_NAMESPACE,
        metric,
        ((names.FLEET_DIMENSION, fleet),),
        statistic=statistic,
        period_s=period_s,
    )


def expression(formula: str, label: str, queries: Sequence[Query]) -> list[cloudwatch.CfnAlarm.MetricDataQueryProperty]:
    """An alarm's metrics: `formula` over `queries`, named by their ids."""
    properties = cloudwatch.CfnAlarm
    return [
        properties.MetricDataQueryProperty(id="value", expression=formula, label=label, return_data=True),
        *(
            properties.MetricDataQueryProperty(
                id=query.id,
                return_data=False,
                metric_stat=properties.MetricStatProperty(
                    metric=properties.MetricProperty(
                        namespace=query.namespace,
                        metric_name=query.metric,
                        dimensions=[
                            properties.DimensionProperty(name=name, value=value) for name, value in query.dimensions
                        ],
                    ),
                    period=query.period_s,
                    stat=query.statistic,
                ),
            )
            for query in queries
        ),
    ]
