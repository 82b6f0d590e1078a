"""The alarms that turn a rollout back, evaluated here: the embedded endpoint keeps their states, and never looks.

Those on the release on trial are what the rollout has put (`sdfleet.aws.trial_alarms`), with a shorter memory: what
CloudWatch looks at in five minutes, a rehearsal has one for. That on the whole fleet is the template's
(`sdfleet_cdk.alarms`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained
from sdfleet.domain import names
from sdfleet.errors import DeploymentError, SdfleetError
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_local import trial_metrics
from sdfleet_local.alarms_metrics import LogMetrics, Sample
from sdfleet_local.refresh_run import AlarmState
from sdfleet_local.scaling_alarms import Alarm
from sdfleet_local.scaling_errors import NotEmulated
from sdfleet_local.scaling_expressions import evaluate

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

log = logs.get_logger(__name__)

#: What is counted, and for how long work may wait without an instance.
WINDOW = timedelta(seconds=60)
#: A rehearsal's bake is seconds; CloudWatch's shortest period is ten of them.
EVALUATED_EVERY_S = 2.0


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
    def no_instance(self) -> str:
        """The alarm that is always there."""
        return names.rollout_alarms(self.deployment_id, self.runtime)[-1]

    @property
    def of_release(self) -> tuple[str, ...]:
        """Those that are there during a rollout."""
        return names.trial_alarms(self.deployment_id, self.runtime)

    def evaluate(self, now: datetime, put: Sequence[Alarm] = ()) -> Mapping[str, AlarmState]:
        """`put`: what a rollout has put, as far as it is there.

        Raises:
            NotEmulated: local mode cannot evaluate one of them.
        """
        states = {alarm.name: _state(self._value(alarm, now - WINDOW) >= alarm.threshold) for alarm in put}
        return {**states, self.no_instance: _state(self._waits_too_long(now))}

    def _value(self, alarm: Alarm, since: datetime) -> float:
        """Sums, and an expression over them."""
        sums = {
            query.id: self.metrics.total(query.metric.name, dict(query.metric.dimensions), since=since)
            for query in alarm.queries
            if query.metric is not None
        }
        formulas = [query.expression for query in alarm.queries if query.metric is None]
        if len(formulas) != 1:
            raise NotEmulated("Local mode evaluates a rollout's alarms on one expression.")
        return evaluate(formulas[0], sums) or 0.0

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

    def create(self, name: str, fleet: str) -> None:
        """In the state OK.

        Raises:
            DeploymentError: the endpoint does not answer.
        """
        with explained():
            self._cloudwatch.put_metric_alarm(
                AlarmName=name,
                AlarmDescription="Evaluated by local mode.",
                Namespace=names.METRIC_NAMESPACE,
                MetricName=name,
                Dimensions=[{"Name": names.FLEET_DIMENSION, "Value": fleet}],
                Statistic="Maximum",
                Period=int(WINDOW.total_seconds()),
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                TreatMissingData="notBreaching",
            )
        self.show({name: AlarmState.OK})

    def put_by_a_rollout(self, alarms: Sequence[str]) -> list[Alarm]:
        """Those of them that are there.

        Raises:
            DeploymentError: the endpoint does not answer.
        """
        with explained():
            answer = self._cloudwatch.describe_alarms(AlarmNames=list(alarms))
        found = [Alarm.of_answer(described) for described in answer["MetricAlarms"]]
        for gone in set(alarms) - {alarm.name for alarm in found}:
            # The next of that name begins anew.
            self._evaluated.pop(gone, None)
        return found

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
            self._cloudwatch.create(fleet.no_instance, names.fleet_name(fleet.deployment_id, fleet.runtime))
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
                put = self._cloudwatch.put_by_a_rollout(fleet.of_release)
                self._cloudwatch.show(fleet.evaluate(now, put))
            except SdfleetError as error:
                log.warning("alarms.not_evaluated", runtime=fleet.runtime, reason=str(error))

    def _repeat(self) -> None:
        while True:
            time.sleep(EVALUATED_EVERY_S)
            self.look()


def _state(is_ringing: bool) -> AlarmState:
    return AlarmState.ALARM if is_ringing else AlarmState.OK
