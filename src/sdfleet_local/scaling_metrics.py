"""What CloudWatch would have of queues and groups: one value a minute of each metric."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained
from sdfleet_local.scaling_description import GroupDescription
from sdfleet_local.scaling_errors import NotEmulated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: SQS and Auto Scaling publish once a minute (SQS Developer Guide, "Available CloudWatch metrics"; Auto Scaling User
#: Guide, "Monitor CloudWatch metrics").
MINUTE = timedelta(minutes=1)
#: As long as an alarm's memory can be (CloudWatch API reference, PutMetricAlarm: a day).
_KEPT_MINUTES = 24 * 60
#: Of a value a minute they are all that value.
_SAME = ("Maximum", "Minimum", "Average", "Sum")


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class QueueDepth:
    """Of one queue; approximate, as SQS's own."""

    visible: int
    in_flight: int


def read_depth(sqs: SQSClient, queue_url: str) -> QueueDepth:
    """Raises:
    DeploymentError: the endpoint does not answer.
    """
    with explained():
        counts = sqs.get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
    return QueueDepth(int(counts["ApproximateNumberOfMessages"]), int(counts["ApproximateNumberOfMessagesNotVisible"]))


def queue_metrics(queue: str, depth: QueueDepth) -> dict[Metric, float]:
    dimensions = frozenset({("QueueName", queue)})
    return {
        Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions): depth.visible,
        Metric("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", dimensions): depth.in_flight,
    }


def group_metrics(group: GroupDescription) -> dict[Metric, float]:
    dimensions = frozenset({("AutoScalingGroupName", group.name)})
    states = [member.state.value.partition(":")[0] for member in group.members]
    values = {
        "GroupDesiredCapacity": group.sizes.desired,
        "GroupMinSize": group.sizes.minimum,
        "GroupMaxSize": group.sizes.maximum,
        "GroupInServiceInstances": states.count("InService"),
        "GroupPendingInstances": states.count("Pending"),
        "GroupStandbyInstances": states.count("Standby"),
        "GroupTerminatingInstances": states.count("Terminating"),
        "GroupTotalInstances": len(states),
    }
    return {Metric("AWS/AutoScaling", name, dimensions): value for name, value in values.items()}


@dataclass
class MinuteMetrics:
    _minutes: deque[Mapping[Metric, float]] = field(default_factory=lambda: deque(maxlen=_KEPT_MINUTES), repr=False)

    def record(self, values: Mapping[Metric, float]) -> None:
        """One minute's."""
        self._minutes.append(values)

    def periods(self, metric: Metric, statistic: str, period: timedelta, count: int) -> list[float | None]:
        """The last `count` periods, oldest first; None where there is no value.

        Raises:
            NotEmulated: a statistic or a period that one value a minute does not have.
        """
        if statistic not in _SAME:
            raise NotEmulated(f"Local mode has no statistic {statistic}; it has {', '.join(_SAME)}.")
        if period % MINUTE:
            raise NotEmulated(f"Local mode has these metrics once a minute, not every {period.total_seconds():.0f} s.")
        length = period // MINUTE
        # Newest first, so that the last period is whole.
        minutes = [minute.get(metric) for minute in reversed(self._minutes)]
        cut = [minutes[first * length : (first + 1) * length] for first in range(count)]
        return [_statistic(statistic, [one for one in part if one is not None]) for part in reversed(cut)]


def _statistic(name: str, values: list[float]) -> float | None:
    if not values:
        return None
    match name:
        case "Maximum":
            return max(values)
        case "Minimum":
            return min(values)
        case "Sum":
            return sum(values)
    return sum(values) / len(values)
