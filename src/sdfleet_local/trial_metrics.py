"""Passes what is counted by release on to the embedded CloudWatch, where `check-deployment-status.sh` reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained
from sdfleet.domain import names
from sdfleet_local.alarms_metrics import Sample

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

_COUNTED = (names.TASKS_SUCCEEDED, names.TRIES_FAILED)
#: PutMetricData, API reference.
_MOST_AT_ONCE = 1000


def publish(cloudwatch: CloudWatchClient, samples: Iterable[Sample], now: datetime) -> None:
    """One value for each metric and release: the endpoint keeps every value that it gets.

    Raises:
        DeploymentError: the endpoint does not answer.
    """
    sums: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
    for sample in samples:
        if sample.metric in _COUNTED and any(name == names.RELEASE_DIMENSION for name, _ in sample.dimensions):
            sums[sample.metric, sample.dimensions] += int(sample.value)
    data = [
        {
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(dimensions)],
            "Timestamp": now,
            "Value": float(value),
            "Unit": "Count",
        }
        for (metric, dimensions), value in sums.items()
    ]
    if data:
        with explained():
            cloudwatch.put_metric_data(Namespace=names.METRIC_NAMESPACE, MetricData=data[:_MOST_AT_ONCE])  # type: ignore[arg-type]
