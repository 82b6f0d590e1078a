"""The queues: a runtime's, the submissions', the callbacks'; each with its dead-letter queue."""

from __future__ import annotations

from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sdfleet.config import RuntimeConfig
from sdfleet.domain import callback, names
from sdfleet_cdk.context import FleetQueue

#: SQS's longest; longer than any outage (architecture, section 3).
RETENTION = timedelta(days=14)
#: A function's queue hides a message for six times the function's timeout (Lambda Developer Guide, "Configuring a
#: queue to use with Lambda").
VISIBILITY_TIMES_TIMEOUT = 6
#: Of the function that reads the submissions: a batch of ten messages, each a handful of AWS calls.
CONSUMER_TIMEOUT = timedelta(seconds=60)
#: The submissions' and the fleets': a backstop only, for a long outage behind the queue must not end in dead letters.
MAX_RECEIVE_COUNT = 100


class Queueing(Construct):
    """Every queue of a deployment."""

    def __init__(
        self, scope: Construct, construct_id: str, *, deployment_id: str, runtimes: tuple[RuntimeConfig, ...]
    ) -> None:
        super().__init__(scope, construct_id)
        self.submissions = _pair(
            self,
            "Submissions",
            names.submission_queue_name(deployment_id),
            visibility=CONSUMER_TIMEOUT * VISIBILITY_TIMES_TIMEOUT,
            max_receive_count=MAX_RECEIVE_COUNT,
        )
        self.callbacks = _pair(
            self,
            "Callbacks",
            names.callback_queue_name(deployment_id),
            visibility=callback.QUEUE_VISIBILITY,
            max_receive_count=callback.MAX_TRIES,
        )
        #: By the runtime's name.
        self.fleets = {
            runtime.name: _pair(
                self,
                f"{names.camel_case(runtime.name)}Fleet",
                names.fleet_name(deployment_id, runtime.name),
                visibility=runtime.visibility_timeout,
                max_receive_count=runtime.max_receive_count,
            )
            for runtime in runtimes
        }


def _pair(
    scope: Construct, construct_id: str, name: str, *, visibility: timedelta, max_receive_count: int
) -> FleetQueue:
    # Who receives from it says for how long.
    dead_letters = _queue(scope, f"{construct_id}DeadLetters", names.dead_letter_queue_name(name))
    queue = _queue(
        scope,
        construct_id,
        name,
        visibility=visibility,
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=max_receive_count),
    )
    return FleetQueue(queue, dead_letters)


def _queue(
    scope: Construct,
    construct_id: str,
    name: str,
    *,
    visibility: timedelta | None = None,
    dead_letter_queue: sqs.DeadLetterQueue | None = None,
) -> sqs.Queue:
    """`visibility` None: SQS's own, 30 s."""
    return sqs.Queue(
        scope,
        construct_id,
        queue_name=name,
        retention_period=cdk.Duration.days(RETENTION.days),
        visibility_timeout=None if visibility is None else cdk.Duration.seconds(int(visibility.total_seconds())),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        dead_letter_queue=dead_letter_queue,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )
