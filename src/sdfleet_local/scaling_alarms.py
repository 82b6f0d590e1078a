"""An alarm of CloudWatch as it is described, and how its state follows from its metrics.

Rules: CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sdfleet_local.refresh_run import AlarmState
from sdfleet_local.scaling_errors import NotEmulated
from sdfleet_local.scaling_expressions import evaluate
from sdfleet_local.scaling_metrics import Metric, MinuteMetrics

#: An action of a scaling policy's.
POLICY_PREFIX = "arn:aws:autoscaling:"
_WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}


@dataclass(frozen=True)
class Query:
    id: str
    #: None: it is an expression.
    metric: Metric | None
    statistic: str = ""
    period: timedelta = timedelta(0)
    expression: str = ""
    #: Whether the alarm is on it.
    is_returned: bool = True


@dataclass(frozen=True)
class Verdict:
    state: AlarmState
    reason: str
    #: Datapoints of the periods looked at, oldest first; those that are missing left out.
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Alarm:
    name: str
    arn: str
    state: AlarmState
    threshold: float
    comparison: str
    periods: int
    #: Of `periods`, how many have to breach.
    datapoints: int
    missing: str
    queries: tuple[Query, ...]
    #: ARNs of the policies that it sets off, by state.
    actions: Mapping[AlarmState, tuple[str, ...]]

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> Alarm:
        """From an element of DescribeAlarms' MetricAlarms."""
        enabled = answer.get("ActionsEnabled", True)
        actions = {
            AlarmState.ALARM: answer.get("AlarmActions") or (),
            AlarmState.OK: answer.get("OKActions") or (),
            AlarmState.INSUFFICIENT_DATA: answer.get("InsufficientDataActions") or (),
        }
        return cls(
            name=answer["AlarmName"],
            arn=answer["AlarmArn"],
            state=AlarmState(answer["StateValue"]),
            threshold=float(answer.get("Threshold", 0)),
            comparison=answer.get("ComparisonOperator", ""),
            periods=int(answer.get("EvaluationPeriods", 1)),
            datapoints=int(answer.get("DatapointsToAlarm") or answer.get("EvaluationPeriods", 1)),
            missing=answer.get("TreatMissingData") or "missing",
            queries=_queries(answer),
            actions={
                state: tuple(arn for arn in arns if enabled and arn.startswith(POLICY_PREFIX))
                for state, arns in actions.items()
            },
        )

    def judge(self, metrics: MinuteMetrics) -> Verdict:
        """Its state by what is recorded. What cannot be evaluated has no data, and says why."""
        try:
            points = self._datapoints(metrics)
            breaching = [None if point is None else self._breaches(point) for point in points]
        except NotEmulated as error:
            return Verdict(AlarmState.INSUFFICIENT_DATA, str(error))
        values = tuple(point for point in points if point is not None)
        filler = {"breaching": True, "notBreaching": False}.get(self.missing)
        counted = [filler if one is None else one for one in breaching]
        known = [one for one in counted if one is not None]
        if sum(known) >= self.datapoints:
            return Verdict(AlarmState.ALARM, self._crossed(sum(known), values, "was"), values)
        if len(known) >= self.datapoints:
            return Verdict(AlarmState.OK, self._crossed(len(known) - sum(known), values, "was not"), values)
        if self.missing == "ignore" or known:
            return Verdict(self.state, "Unchanged: datapoints are missing", values)
        return Verdict(AlarmState.INSUFFICIENT_DATA, "Insufficient Data: datapoints are missing")

    def _datapoints(self, metrics: MinuteMetrics) -> list[float | None]:
        series: dict[str, list[float | None]] = {}
        for query in self.queries:
            if query.metric is not None:
                series[query.id] = metrics.periods(query.metric, query.statistic, query.period, self.periods)
        for query in self.queries:
            if query.metric is None:
                series[query.id] = [
                    evaluate(query.expression, {name: values[index] for name, values in series.items()})
                    for index in range(self.periods)
                ]
        returned = [query.id for query in self.queries if query.is_returned]
        if len(returned) != 1:
            raise NotEmulated("Local mode evaluates alarms on one metric or one expression.")
        return series[returned[0]]

    def _breaches(self, value: float) -> bool:
        match self.comparison:
            case "GreaterThanOrEqualToThreshold":
                return value >= self.threshold
            case "GreaterThanThreshold":
                return value > self.threshold
            case "LessThanThreshold":
                return value < self.threshold
            case "LessThanOrEqualToThreshold":
                return value <= self.threshold
        raise NotEmulated(f"Local mode cannot compare by {self.comparison}.")

    def _crossed(self, count: int, values: tuple[float, ...], was: str) -> str:
        """CloudWatch's words."""
        shown = ", ".join(str(float(value)) for value in values)
        noun = "datapoint" if count == 1 else "datapoints"
        crossed = f"{was} {_WORDS[self.comparison]} the threshold ({self.threshold})"
        return f"Threshold Crossed: {count} {noun} [{shown}] {crossed}."


def sets_off_policies(answer: Mapping[str, Any]) -> bool:
    """Whether an element of DescribeAlarms' MetricAlarms has an action that is a policy."""
    actions = (answer.get(name) or () for name in ("AlarmActions", "OKActions", "InsufficientDataActions"))
    return any(arn.startswith(POLICY_PREFIX) for arns in actions for arn in arns)


def _queries(answer: Mapping[str, Any]) -> tuple[Query, ...]:
    if not answer.get("Metrics"):
        metric = _metric(answer)
        period = timedelta(seconds=int(answer.get("Period") or 0))
        return (Query("value", metric, answer.get("Statistic") or answer.get("ExtendedStatistic", ""), period),)
    return tuple(
        Query(one["Id"], None, expression=one["Expression"], is_returned=one.get("ReturnData", True))
        if one.get("Expression")
        else Query(
            one["Id"],
            _metric(one["MetricStat"]["Metric"]),
            one["MetricStat"]["Stat"],
            timedelta(seconds=int(one["MetricStat"]["Period"])),
            is_returned=one.get("ReturnData", True),
        )
        for one in answer["Metrics"]
    )


def _metric(fields: Mapping[str, Any]) -> Metric:
    dimensions = frozenset((one["Name"], one["Value"]) for one in fields.get("Dimensions") or ())
    return Metric(fields.get("Namespace", ""), fields.get("MetricName", ""), dimensions)
