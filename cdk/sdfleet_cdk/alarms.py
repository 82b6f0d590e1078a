"""What wakes a person: one topic, with `alarmEmail` subscribed, and few alarms, each on what a caller would notice.

An alarm costs 0.10 USD a month for every metric that it reads; those on a release on trial are a rollout's own, and
there as long as it is. `test_command` rings the bell on purpose.
"""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names, trial
from sdfleet_cdk.metric_queries import (
    PERIOD_S,
    Query,
    expression,
    fleet_metric,
    group_metric,
    visible_messages,
)

_DEAD_LETTER_PERIOD_S = 300
_API_PERIOD_S = 300
#: A quarter of an hour's tasks.
_FAILURE_PERIOD_S = 900
#: One failure of two tasks is no rate.
_FEWEST_TASKS = 5
_DEAD_LETTERS = "dead-letters"


class Alarms(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, config: Config, has_api: bool) -> None:
        super().__init__(scope, construct_id)
        self._deployment_id = config.stack_name
        self._config = config
        self.topic = self._make_topic()
        self._watch_dead_letters()
        self._watch_callbacks()
        if has_api:
            self._watch_api()
        for runtime in config.runtimes:
            self._watch_fleet(names.fleet_name(self._deployment_id, runtime.name), names.camel_case(runtime.name))
            self._limit_trials(runtime.name, names.camel_case(runtime.name))

    @property
    def test_command(self) -> str:
        """Sets an alarm off as if it were real; it goes back by itself within five minutes."""
        alarm = names.alarm_name(self._deployment_id, _DEAD_LETTERS)
        return f"aws cloudwatch set-alarm-state --alarm-name {alarm} --state-value ALARM --state-reason test"

    def _make_topic(self) -> sns.Topic:
        topic = sns.Topic(self, "Topic", topic_name=names.alarm_topic_name(self._deployment_id), enforce_ssl=True)
        # A policy of its own takes the place of the default one, which lets the account's alarms in.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if self._config.alarm_email is not None:
            sns.CfnSubscription(
                self, "Email", topic_arn=topic.topic_arn, protocol="email", endpoint=self._config.alarm_email
            )
        return topic

    def _watch_dead_letters(self) -> None:
        self._alarm(
            "DeadLetters",
            names.alarm_name(self._deployment_id, _DEAD_LETTERS),
            "Messages were dead-lettered; body and reason lie under dead-letters/ in the inbox bucket.",
            formula="letters",
            label="dead letters",
            queries=[
                Query(
                    "letters",
                    names.METRIC_NAMESPACE,
                    names.DEAD_LETTERS,
                    ((names.DEPLOYMENT_DIMENSION, self._deployment_id),),
                    statistic="Sum",
                    period_s=_DEAD_LETTER_PERIOD_S,
                )
            ],
            threshold=self._config.alarms.dead_letters,
        )

    def _watch_callbacks(self) -> None:
        queue = names.dead_letter_queue_name(names.callback_queue_name(self._deployment_id))
        self._alarm(
            "Callbacks",
            names.alarm_name(self._deployment_id, "callbacks"),
            "Callbacks were given up after a day of tries: sdfleet callbacks list, and redeliver once receivers work.",
            formula="letters",
            label="callbacks given up",
            queries=[Query("letters", "AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", queue),))],
            threshold=1,
        )

    def _watch_api(self) -> None:
        self._alarm(
            "ApiErrors",
            names.alarm_name(self._deployment_id, "api-errors"),
            "Too many of the API's answers are 5xx; look at the log of the function behind it.",
            formula="errors * 100",
            label="percent 5xx",
            queries=[
                Query(
                    "errors",
                    "AWS/ApiGateway",
                    "5XXError",
                    (("ApiName", self._deployment_id), ("Stage", self._config.api_gateway.stage_name)),
                    # Of ones and noughts: the rate (API Gateway Developer Guide, "API Gateway dimensions and metrics").
                    statistic="Average",
                    period_s=_API_PERIOD_S,
                )
            ],
            threshold=self._config.alarms.api_error_percentage,
        )

    def _watch_fleet(self, fleet: str, part: str) -> None:
        limits = self._config.alarms
        visible = visible_messages(fleet)
        self._alarm(
            f"{part}OldestMessage",
            names.alarm_name(fleet, "oldest-message"),
            "A message is too old while messages wait: the fleet is too small, at its greatest size, or stuck.",
            formula="IF(visible > 0, age, 0)",
            label="seconds",
            queries=[visible, Query("age", "AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", fleet),))],
            threshold=limits.oldest_message_s,
        )
        self._alarm(
            f"{part}NoInstance",
            names.alarm_name(fleet, "no-instance"),
            "Work waits and no instance is in service: no Spot capacity, a quota, or instances that do not boot.",
            formula="IF(visible > 0 AND FILL(healthy, 0) < 1, 1, 0)",
            label="waiting without an instance",
            queries=[visible, group_metric("healthy", "GroupInServiceInstances", fleet)],
            threshold=1,
            periods=-(-limits.no_instance_s // PERIOD_S),
        )
        self._alarm(
            f"{part}BootFailures",
            names.alarm_name(fleet, "boot-failures"),
            "Instances die at boot one after the other, and no more are launched; roll the release back.",
            formula="FILL(failures, 0)",
            label="looks",
            queries=[fleet_metric("failures", names.BOOT_FAILURES, fleet)],
            threshold=1,
        )
        succeeded, failed = (
            fleet_metric(query_id, metric, fleet, statistic="Sum", period_s=_FAILURE_PERIOD_S)
            for query_id, metric in (("succeeded", names.TASKS_SUCCEEDED), ("failed", names.TASKS_FAILED))
        )
        ended = "(FILL(succeeded, 0) + FILL(failed, 0))"
        self._alarm(
            f"{part}Failures",
            names.alarm_name(fleet, "failures"),
            "Too many tasks fail; the scheduler's log has their codes (task.ended, status failed).",
            formula=f"IF({ended} >= {_FEWEST_TASKS}, 100 * FILL(failed, 0) / {ended}, 0)",
            label="percent failed",
            queries=[succeeded, failed],
            threshold=limits.failure_percentage,
        )

    def _limit_trials(self, runtime: str, part: str) -> None:
        """What a rollout needs to know for its own alarms, which it makes and deletes (`sdfleet.aws.trial_alarms`)."""
        limits = trial.TrialLimits(
            topic_arn=self.topic.topic_arn,
            failure_percentage=self._config.alarms.failure_percentage,
            dead_letters=self._config.alarms.dead_letters,
        )
        ssm.CfnParameter(
            self,
            f"{part}TrialLimits",
            name=names.release_parameter(self._deployment_id, runtime, trial.LIMITS_PARAMETER),
            description=f"{runtime}: when a release on trial is bad, and who is told. The configuration's alarms.",
            type="String",
            value=limits.to_json(),
        )

    def _alarm(
        self,
        construct_id: str,
        name: str,
        description: str,
        *,
        formula: str,
        label: str,
        queries: list[Query],
        threshold: float,
        periods: int = 1,
    ) -> None:
        """Rings when `formula` is at `threshold` or above for `periods` periods in a row."""
        cloudwatch.CfnAlarm(
            self,
            construct_id,
            alarm_name=name,
            alarm_description=description,
            metrics=expression(formula, label, queries),
            evaluation_periods=periods,
            datapoints_to_alarm=periods,
            threshold=threshold,
            comparison_operator="GreaterThanOrEqualToThreshold",
            # Nothing was counted: nothing happened.
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic.topic_arn],
            ok_actions=[self.topic.topic_arn],
        )
