"""The alarms on the release that is on trial, and the counts of runs by release: CloudWatch, as a rollout needs it.

The fleets' template has the alarms, thresholds and all; a rollout points them at its own release before it begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sdfleet.aws.operator_errors import explained
from sdfleet.domain import names
from sdfleet.domain.trial import Runs
from sdfleet.errors import DeploymentRefused

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef

#: Of what DescribeAlarms answers, what PutMetricAlarm takes (CloudWatch API reference).
_KEPT = (
    "AlarmName",
    "AlarmDescription",
    "ActionsEnabled",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
)
_PERIOD = timedelta(minutes=1)


class TrialAlarms:
    """Of one fleet. Every call may raise DeploymentError."""

    def __init__(self, cloudwatch: CloudWatchClient, *, deployment_id: str, runtime: str) -> None:
        self._cloudwatch = cloudwatch
        self._fleet = names.fleet_name(deployment_id, runtime)
        #: One of them in ALARM turns a refresh back. Auto Scaling takes ten.
        self.names = names.rollout_alarms(deployment_id, runtime)
        self._of_release = names.trial_alarms(deployment_id, runtime)

    def check(self) -> None:
        """Raises:
        DeploymentRefused: one of them is not there: the template is older than this version.
        """
        found = {alarm["AlarmName"] for alarm in self._described(self.names)}
        missing = [name for name in self.names if name not in found]
        if missing:
            raise DeploymentRefused(
                f"The alarm {missing[0]}, which would turn a bad release back, is not there; deploy the service again "
                "with ./deploy.sh."
            )

    def ringing(self) -> tuple[str, ...]:
        """Those in ALARM, in the order in which they are named."""
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in self._described(self.names)}
        return tuple(name for name in self.names if states.get(name) == "ALARM")

    def begin_trial(self, release: str) -> tuple[str, ...]:
        """Have them watch `release`; returns those that may turn its refresh back.

        What rings on the whole fleet before the rollout is not its doing, and may be what it is to mend.
        """
        watching: list[str] = []
        for alarm in self._described(self.names):
            is_on_release = alarm["AlarmName"] in self._of_release
            if is_on_release:
                self._point_at(alarm, release)
            if is_on_release or alarm["StateValue"] != "ALARM":
                watching.append(alarm["AlarmName"])
        return tuple(watching)

    def _point_at(self, alarm: MetricAlarmTypeDef, release: str) -> None:
        changed = _pointed_at(alarm, release)
        with explained():
            if changed is not None:
                self._cloudwatch.put_metric_alarm(**changed)
            # Putting it leaves its state, which is another trial's; one that rings would refuse the refresh, one
            # without data would have it wait. CloudWatch itself looks again within a minute.
            self._cloudwatch.set_alarm_state(
                AlarmName=alarm["AlarmName"], StateValue="OK", StateReason=f"{release} goes on trial."
            )

    def runs(self, releases: Sequence[str], *, since: datetime, until: datetime) -> Mapping[str, Runs]:
        """What each release has run, in whole minutes; CloudWatch knows of it a minute later."""
        wanted = [(release, metric) for release in releases for metric in (names.TASKS_SUCCEEDED, names.TRIES_FAILED)]
        queries: Any = [
            {"Id": f"runs{number}", "MetricStat": self._sum_of(metric, release)}
            for number, (release, metric) in enumerate(wanted)
        ]
        if not queries:
            return {}
        counts = [0] * len(wanted)
        with explained():
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries, StartTime=since.replace(second=0, microsecond=0), EndTime=until
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    counts[int(result["Id"].removeprefix("runs"))] += int(sum(result["Values"]))
        found = dict(zip(wanted, counts, strict=True))
        return {
            release: Runs(found[release, names.TASKS_SUCCEEDED], found[release, names.TRIES_FAILED])
            for release in releases
        }

    def _sum_of(self, metric: str, release: str) -> dict[str, Any]:
        dimensions = {names.FLEET_DIMENSION: self._fleet, names.RELEASE_DIMENSION: release}
        return {
            "Metric": {
                "Namespace": names.METRIC_NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": int(_PERIOD.total_seconds()),
            "Stat": "Sum",
        }

    def _described(self, alarms: Sequence[str]) -> list[MetricAlarmTypeDef]:
        with explained():
            return self._cloudwatch.describe_alarms(AlarmNames=list(alarms), AlarmTypes=["MetricAlarm"])["MetricAlarms"]


def _pointed_at(alarm: Any, release: str) -> dict[str, Any] | None:
    """The alarm as PutMetricAlarm takes it; None if it watches the release already."""
    changed = {key: alarm[key] for key in _KEPT if key in alarm}
    changed["Dimensions"] = _of_release(alarm.get("Dimensions") or [], release)
    queries = [
        {**query, "MetricStat": {**query["MetricStat"], "Metric": _metric_of(query["MetricStat"]["Metric"], release)}}
        if "MetricStat" in query
        else query
        for query in alarm.get("Metrics") or ()
    ]
    if changed["Dimensions"] == (alarm.get("Dimensions") or []) and queries == (alarm.get("Metrics") or []):
        return None
    if queries:
        # One or the other (PutMetricAlarm, Metrics).
        del changed["Dimensions"]
        changed["Metrics"] = queries
    return changed


def _metric_of(metric: Any, release: str) -> dict[str, Any]:
    return {**metric, "Dimensions": _of_release(metric.get("Dimensions") or [], release)}


def _of_release(dimensions: Sequence[Any], release: str) -> list[Any]:
    return [{**one, "Value": release} if one["Name"] == names.RELEASE_DIMENSION else dict(one) for one in dimensions]
