"""A Lambda function of ours: one handler, one role, one log group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet.errors import ConfigError
from sdfleet_cdk import nag
from sdfleet_cdk.lambda_asset import function_code
from sdfleet_cdk.permissions import Permission, process_role
from sdfleet_cdk.region import Region

#: Lambda's limit for the variables' names and values together (quotas), less room for tokens that turn out longer.
MAX_ENVIRONMENT_BYTES = 4096 - 200
#: Messages in one invocation; the handlers treat each by itself.
BATCH_SIZE = 10
_RUNTIME_REASON = (
    "Python 3.13 is maintained until 2029 and every region has it, China's too; the newest comes later there."
)


@dataclass(frozen=True)
class HandlerCode:
    """One handler and what it needs."""

    #: Of the module in `sdfleet_lambdas`: its file's name.
    module: str
    #: What it does, for the console.
    description: str
    #: MiB; Lambda gives processor time in proportion.
    memory: int
    timeout: timedelta
    permissions: tuple[Permission, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Whether X-Ray follows what its caller has sampled. Where no caller decides, Lambda does: it takes one request a
    #: second and a twentieth of the others (Developer Guide, "Visualize Lambda function invocations using AWS X-Ray"),
    #: which is every run of a schedule, 0.22 USD a month for one each minute.
    is_traced: bool = False

    @property
    def name(self) -> str:
        return self.module.replace("_", "-")


class Handler(Construct):
    def __init__(
        self, scope: Construct, construct_id: str, *, code: HandlerCode, config: Config, region: Region
    ) -> None:
        """Raises:
        ConfigError: the configuration has more runtimes than a function can be told of.
        """
        super().__init__(scope, construct_id)
        _check_room(code.environment, config)
        self._region = region
        deployment_id = config.stack_name
        is_traced = code.is_traced and region.has_lambda_tracing
        log_group = logs.CfnLogGroup(
            self,
            "Logs",
            log_group_name=names.function_log_group(deployment_id, code.name),
            retention_in_days=config.retention.log_days,
        )
        role = process_role(
            self,
            "Role",
            service="lambda.amazonaws.com",
            description=f"{deployment_id}: {code.description}",
            permissions=(*code.permissions, *_own_permissions(log_group, is_traced=is_traced)),
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=f"{deployment_id}-{code.name}",
            description=code.description,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"sdfleet_lambdas.{code.module}.handler",
            code=function_code(),
            memory_size=code.memory,
            timeout=cdk.Duration.seconds(int(code.timeout.total_seconds())),
            role=role.without_policy_updates(),
            environment=dict(code.environment),
            log_group=logs.LogGroup.from_log_group_name(self, "LogGroup", log_group.ref),
            tracing=lambda_.Tracing.ACTIVE if is_traced else lambda_.Tracing.DISABLED,
        )

        nag.acknowledge(self.function, {"L1": _RUNTIME_REASON})

    def consume(self, construct_id: str, queue_arn: str, *, at_once: int) -> None:
        """Be invoked with the queue's messages, in at most `at_once` invocations at a time (2 at least: API Reference,
        ScalingConfig).

        Lambda asks the queue for ever, 0.26 USD a month; what is nearly always empty is looked into by a schedule.
        """
        mapping = lambda_.CfnEventSourceMapping(
            self,
            construct_id,
            function_name=self.function.function_name,
            event_source_arn=queue_arn,
            batch_size=BATCH_SIZE,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=at_once),
        )
        if not self._region.tags_event_source_mappings:
            mapping.add_property_deletion_override("Tags")

    def repeat(self, construct_id: str, *, name: str, every: timedelta) -> None:
        events.Rule(
            self,
            construct_id,
            rule_name=name,
            schedule=events.Schedule.rate(cdk.Duration.minutes(int(every.total_seconds()) // 60)),
            targets=[
                targets.LambdaFunction(
                    self.function,
                    # The next time comes anyway, and does what this one has not.
                    retry_attempts=0,
                    max_event_age=cdk.Duration.minutes(1),
                )
            ],
        )


def queue_permission(queue_arn: str) -> Permission:
    """What Lambda asks of a role whose function reads a queue (Developer Guide, "Execution role permissions")."""
    return Permission(
        "ReceiveMessages",
        ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
        (queue_arn,),
    )


def _own_permissions(log_group: logs.CfnLogGroup, *, is_traced: bool) -> tuple[Permission, ...]:
    written = Permission(
        "WriteLogs",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
        # It ends in `:*`, for streams.
        (log_group.attr_arn,),
        reason="The streams of its own log group, which Lambda names.",
    )
    if not is_traced:
        return (written,)
    traced = Permission(
        "SendTraces",
        ("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
        ("*",),
        reason="X-Ray has no resources to name (Service Authorization Reference).",
    )
    return (written, traced)


def _check_room(environment: Mapping[str, str], config: Config) -> None:
    size = sum(len(name) + len(value) for name, value in environment.items())
    if size > MAX_ENVIRONMENT_BYTES:
        raise ConfigError(
            f"modelsRuntime has {len(config.runtimes)} runtimes: more than a function's 4 KB of environment can name."
            " Deploy some of them as a second deployment (-n), or give them shorter names."
        )
