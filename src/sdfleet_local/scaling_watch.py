"""CloudWatch's minute: metrics are taken, alarms evaluated, and policies set off, for all groups of a deployment."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained
from sdfleet.errors import SdfleetError
from sdfleet.telemetry import logs
from sdfleet_local.group import LocalGroup
from sdfleet_local.scaling_alarms import Alarm, Verdict, sets_off_policies
from sdfleet_local.scaling_metrics import Metric, MinuteMetrics, QueueDepth, group_metrics, queue_metrics
from sdfleet_local.scaling_policies import Breach

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

log = logs.get_logger(__name__)


class ScalingWatch:
    """The embedded endpoint keeps alarms and their states, and never looks."""

    def __init__(
        self,
        groups: Iterable[LocalGroup],
        depths: Mapping[str, Callable[[], QueueDepth]],
        cloudwatch: CloudWatchClient,
        *,
        minute: timedelta,
    ) -> None:
        """`depths`: by the queues' names; each raises SdfleetError. `minute`: what one of CloudWatch's takes here."""
        self._groups = groups
        self._depths = depths
        self._cloudwatch = cloudwatch
        self._minute = minute
        self._metrics = MinuteMetrics()

    def start(self) -> None:
        threading.Thread(target=self._repeat, name="scaling", daemon=True).start()

    def look(self) -> None:
        """A minute has passed. What cannot be known now is for the next one."""
        self._metrics.record(self._read())
        try:
            alarms = self._alarms()
            verdicts = {alarm.name: alarm.judge(self._metrics) for alarm in alarms}
            for alarm in alarms:
                self._show(alarm, verdicts[alarm.name])
        except SdfleetError as error:
            log.warning("alarms.not_evaluated", reason=str(error))
            return
        self._set_off(alarms, verdicts)

    def _read(self) -> dict[Metric, float]:
        values: dict[Metric, float] = {}
        for group in self._groups:
            values |= group_metrics(group.describe_group())
        for queue, depth in self._depths.items():
            try:
                values |= queue_metrics(queue, depth())
            except SdfleetError as error:
                log.warning("depth.unknown", queue=queue, reason=str(error))
        return values

    def _alarms(self) -> list[Alarm]:
        """Those that set off policies."""
        with explained():
            answer = self._cloudwatch.describe_alarms()
        return [Alarm.of_answer(one) for one in answer["MetricAlarms"] if sets_off_policies(one)]

    def _show(self, alarm: Alarm, verdict: Verdict) -> None:
        if verdict.state is alarm.state:
            return
        with explained():
            self._cloudwatch.set_alarm_state(
                AlarmName=alarm.name, StateValue=verdict.state.value, StateReason=verdict.reason
            )
        log.info("alarm.changed", alarm=alarm.name, state=verdict.state, reason=verdict.reason)

    def _set_off(self, alarms: Iterable[Alarm], verdicts: Mapping[str, Verdict]) -> None:
        """CloudWatch User Guide, "Alarm actions": an Auto Scaling action is invoked "once per minute" for as long as
        the alarm stays in the state.
        """
        by_policy: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for alarm in alarms:
            for arn in {arn for arns in alarm.actions.values() for arn in arns}:
                by_policy[arn].append((alarm.name, alarm.arn))
        noted = {arn: tuple(named) for arn, named in by_policy.items()}
        for group in self._groups:
            group.scaling.policies.note_alarms(noted)
            breaches = []
            for alarm in alarms:
                verdict = verdicts[alarm.name]
                for arn in alarm.actions[verdict.state]:
                    policy = group.scaling.policies.find(arn)
                    if policy is not None and verdict.values:
                        breaches.append(Breach(policy, alarm.name, verdict.values, alarm.threshold))
            if breaches:
                group.answer_alarms(breaches)

    def _repeat(self) -> None:
        due = time.monotonic()
        while True:
            due += self._minute.total_seconds()
            time.sleep(max(0.0, due - time.monotonic()))
            self.look()
