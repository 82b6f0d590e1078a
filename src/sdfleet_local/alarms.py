"""The alarms that turn a rollout back, evaluated here: the embedded endpoint keeps their states, and never looks.

They are the template's (`sdfleet_cdk.alarms`) with a shorter memory: what CloudWatch looks at in a quarter of an hour,
a rehearsal has a minute for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained
from sdfleet.domain import names, trial
from sdfleet.errors import DeploymentError, SdfleetError
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_local import trial_metrics
from sdfleet_local.alarms_metrics import LogMetrics, Sample
from sdfleet_local.refresh_run import AlarmState

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

log = logs.get_logger(__name__)

#: What is counted, and for how long work may wait without an instance.
WINDOW = timedelta(seconds=60)
#: A rehearsal's bake is seconds; CloudWatch's shortest period is ten of them.
EVALUATED_EVERY_S = 2.0
#: The template's default.
FAILURE_PERCENTAGE = 10


@dataclass
class FleetAlarms:
    """The alarms of one fleet, by name, as they should be."""

    deployment_id: str
    runtime: str
    metrics: LogMetrics
    #: Messages that wait in the fleet's queue; raises SdfleetError.
    waiting: Callable[[], int]
    in_service: Callable[[], int]
    _waits_since: datetime | None = field(default=None, repr=False)

    @property
    def alarms(self) -> tuple[str, ...]:
        return names.rollout_alarms(self.deployment_id, self.runtime)

    @property
    def dimensions(self) -> dict[str, str]:
        return {names.FLEET_DIMENSION: names.fleet_name(self.deployment_id, self.runtime)}

    def evaluate(self, now: datetime, release: str) -> Mapping[str, AlarmState]:
        """`release`: that on trial, or that was last."""
        failures, unready, dead_letters, no_instance = self.alarms
        since = now - WINDOW

        def total(metric: str, **dimensions: str) -> float:
            return self.metrics.total(metric, {**self.dimensions, **dimensions}, since=since)

        by_release = {names.RELEASE_DIMENSION: release}
        failed = trial.failure_percentage(
            good=total(names.TASKS_SUCCEEDED, **by_release),
            bad=total(names.TRIES_FAILED, **by_release),
            all_good=total(names.TASKS_SUCCEEDED),
            all_bad=total(names.TRIES_FAILED),
        )
        return {
            failures: _state(failed >= FAILURE_PERCENTAGE),
            unready: _state(total(names.INSTANCES_UNREADY, **by_release) >= 1),
            dead_letters: _state(total(names.DEAD_LETTERS, **by_release) >= 1),
            no_instance: _state(self._waits_too_long(now)),
        }

    def _waits_too_long(self, now: datetime) -> bool:
        if self.in_service() > 0 or self.waiting() == 0:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        return self._waits_since is not None and now - self._waits_since >= WINDOW


class CloudWatchAlarms:
    """The embedded endpoint's: a state that somebody sets by hand stays until the evaluation changes its mind."""

    def __init__(self, cloudwatch: CloudWatchClient) -> None:
        self._cloudwatch = cloudwatch
        self._evaluated: dict[str, AlarmState] = {}

    def create(self, alarms: Sequence[str], dimensions: Mapping[str, str]) -> None:
        """In the state OK.

        Raises:
            DeploymentError: the endpoint does not answer.
        """
        for name in alarms:
            with explained():
                self._cloudwatch.put_metric_alarm(
                    AlarmName=name,
                    AlarmDescription="Evaluated by local mode.",
                    Namespace=names.METRIC_NAMESPACE,
                    MetricName=name,
                    Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
                    Statistic="Maximum",
                    Period=int(WINDOW.total_seconds()),
                    EvaluationPeriods=1,
                    Threshold=1,
                    ComparisonOperator="GreaterThanOrEqualToThreshold",
                    TreatMissingData="notBreaching",
                )
            self.show({name: AlarmState.OK})

    def release_on_trial(self, alarm: str) -> str:
        """Whom the alarm is pointed at (`sdfleet.aws.trial_alarms`).

        Raises:
            DeploymentError: the endpoint does not answer.
        """
        with explained():
            answer = self._cloudwatch.describe_alarms(AlarmNames=[alarm])
        for described in answer["MetricAlarms"]:
            for dimension in described.get("Dimensions", ()):
                if dimension["Name"] == names.RELEASE_DIMENSION:
                    return dimension["Value"]
        return names.NO_RELEASE

    def publish(self, samples: Sequence[Sample], now: datetime) -> None:
        """What is counted by release, for whoever asks.

        Raises:
            DeploymentError: the endpoint does not answer.
        """
        trial_metrics.publish(self._cloudwatch, samples, now)

    def show(self, states: Mapping[str, AlarmState]) -> None:
        """Raises:
        DeploymentError: the endpoint does not answer.
        """
        for name, state in states.items():
            if self._evaluated.get(name) is state:
                continue
            with explained():
                self._cloudwatch.set_alarm_state(
                    AlarmName=name, StateValue=state.value, StateReason="Evaluated by local mode."
                )
            self._evaluated[name] = state
            log.info("alarm.changed", alarm=name, state=state.value)

    def read(self, alarms: Sequence[str]) -> Mapping[str, AlarmState]:
        """The state of each that exists. An endpoint that does not answer has no data."""
        try:
            with explained():
                answer = self._cloudwatch.describe_alarms(AlarmNames=list(alarms))
        except DeploymentError as error:
            log.warning("alarms.unknown", reason=str(error))
            return dict.fromkeys(alarms, AlarmState.INSUFFICIENT_DATA)
        return {alarm["AlarmName"]: AlarmState(alarm["StateValue"]) for alarm in answer["MetricAlarms"]}


class AlarmWatch:
    """Looks after the alarms of all fleets, in a thread of its own, until the process ends."""

    def __init__(
        self, fleets: Sequence[FleetAlarms], metrics: LogMetrics, cloudwatch: CloudWatchAlarms, clock: Clock
    ) -> None:
        self._fleets = fleets
        self._metrics = metrics
        self._cloudwatch = cloudwatch
        self._clock = clock

    def start(self) -> None:
        """Raises:
        DeploymentError: the endpoint does not answer.
        """
        for fleet in self._fleets:
            nobody = {names.RELEASE_DIMENSION: names.NO_RELEASE}
            self._cloudwatch.create(fleet.alarms, {**fleet.dimensions, **nobody})
        threading.Thread(target=self._repeat, name="alarms", daemon=True).start()

    def look(self) -> None:
        """Once; what cannot be known now is for the next time."""
        now = self._clock.now()
        new = self._metrics.read(now)
        try:
            self._cloudwatch.publish(new, now)
        except SdfleetError as error:
            log.warning("metrics.not_published", samples=len(new), reason=str(error))
        for fleet in self._fleets:
            try:
                release = self._cloudwatch.release_on_trial(fleet.alarms[0])
                self._cloudwatch.show(fleet.evaluate(now, release))
            except SdfleetError as error:
                log.warning("alarms.not_evaluated", runtime=fleet.runtime, reason=str(error))

    def _repeat(self) -> None:
        while True:
            time.sleep(EVALUATED_EVERY_S)
            self.look()


def _state(is_ringing: bool) -> AlarmState:
    return AlarmState.ALARM if is_ringing else AlarmState.OK
