"""The alarms on the release that is on trial, and the counts of runs by release: CloudWatch, as a rollout needs it.

An alarm costs 0.10 USD a month for every metric that it reads, so they are made for a rollout and deleted after it.
What the configuration says of them stands in a parameter of the fleet, which is the template's
(docs/adr/0016-trial-alarms-live-as-long-as-a-rollout.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sdfleet.aws.operator_errors import explained
from sdfleet.aws.remains import delete_alarms
from sdfleet.aws.trial_definitions import definitions
from sdfleet.domain import names
from sdfleet.domain.instance_refresh import TrialWatch
from sdfleet.domain.trial import LIMITS_PARAMETER, Runs, TrialLimits
from sdfleet.errors import DeploymentError, DeploymentRefused, ServiceUnavailable, TrialUnwatched
from sdfleet.fleet_ports import ReleaseStore

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef, PutMetricAlarmInputTypeDef

_PERIOD = timedelta(minutes=1)


class TrialAlarms:
    """Of one fleet. Every call may raise DeploymentError, or ServiceUnavailable where it reads the parameter."""

    def __init__(
        self, cloudwatch: CloudWatchClient, releases: ReleaseStore, *, deployment_id: str, runtime: str
    ) -> None:
        self._cloudwatch = cloudwatch
        self._releases = releases
        self._deployment_id = deployment_id
        self._runtime = runtime
        self._fleet = names.fleet_name(deployment_id, runtime)
        #: One of them in ALARM turns a refresh back. Auto Scaling takes ten.
        self.names = names.rollout_alarms(deployment_id, runtime)
        self._of_release = names.trial_alarms(deployment_id, runtime)

    def check(self) -> None:
        """Raises:
        DeploymentRefused: the template is older than this version: it lacks what a rollout needs.
        """
        self._limits()
        of_fleet = [name for name in self.names if name not in self._of_release]
        found = {alarm["AlarmName"] for alarm in self._described(of_fleet)}
        for name in of_fleet:
            if name not in found:
                raise DeploymentRefused(
                    f"The alarm {name}, which would turn a bad release back, is not there; deploy the service again "
                    "with ./deploy.sh."
                )

    def ringing(self) -> tuple[str, ...]:
        """Those in ALARM, in the order in which they are named."""
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in self._described(self.names)}
        return tuple(name for name in self.names if states.get(name) == "ALARM")

    def watch(self) -> TrialWatch:
        found = len(self._described(self._of_release))
        if found == 0:
            return TrialWatch.NONE
        return TrialWatch.ALL if found == len(self._of_release) else TrialWatch.SOME

    def begin_trial(self, release: str) -> tuple[str, ...]:
        """Have alarms watch `release`; returns those that may turn its refresh back.

        What rings on the whole fleet before the rollout is not its doing, and may be what it is to mend.

        Raises:
            TrialUnwatched: they cannot be made.
        """
        self._put(release, self._of_release)
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in self._described(self.names)}
        return tuple(name for name in self.names if name in self._of_release or states.get(name) not in {None, "ALARM"})

    def mend_trial(self, release: str) -> None:
        """Make those of its alarms that are gone; the others are left as they are.

        Raises:
            TrialUnwatched: they cannot be made.
        """
        found = {alarm["AlarmName"] for alarm in self._described(self._of_release)}
        self._put(release, [name for name in self._of_release if name not in found])

    def end_trial(self) -> None:
        """Delete them; nothing happens where there are none."""
        delete_alarms(self._cloudwatch, self._of_release)

    def _put(self, release: str, wanted: Iterable[str]) -> None:
        """In the state OK: one that rings, or was left ringing, would refuse the refresh, and a new one, which has no
        data, would have it wait. CloudWatch itself looks again within a minute.
        """
        alarms = tuple(wanted)
        if not alarms:
            return
        reason = f"{release} goes on trial."
        try:
            defined = definitions(self._deployment_id, self._runtime, release, self._limits())
            with explained():
                for definition in defined:
                    if (name := definition["AlarmName"]) in alarms:
                        # Nobody is to be told that it is OK now, which is a change of its state.
                        silent: PutMetricAlarmInputTypeDef = {**definition, "ActionsEnabled": False}
                        self._cloudwatch.put_metric_alarm(**silent)
                        self._cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason=reason)
                self._cloudwatch.enable_alarm_actions(AlarmNames=list(alarms))
        except (DeploymentError, ServiceUnavailable) as error:
            raise TrialUnwatched(
                f"No alarms can be put on {release}, and nothing else would turn it back: {error}"
            ) from error

    def _limits(self) -> TrialLimits:
        text = self._releases.read(self._runtime, LIMITS_PARAMETER)
        try:
            return TrialLimits.from_json(text or "null")
        except ValueError as error:
            parameter = names.release_parameter(self._deployment_id, self._runtime, LIMITS_PARAMETER)
            raise DeploymentRefused(
                f"The parameter {parameter}, by which a bad release would be known, is not there or not whole; deploy "
                "the service again with ./deploy.sh."
            ) from error

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
