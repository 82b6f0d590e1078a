"""The request topic and the result topic, and which queue takes what of them."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sdfleet.domain import names
from sdfleet.domain.wire.answers import CALLBACK_URL
from sdfleet_cdk.queueing import Queueing


class Topics(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, deployment_id: str, queues: Queueing) -> None:
        super().__init__(scope, construct_id)
        requests = _topic(self, "Requests", names.request_topic_name(deployment_id))
        results = _topic(self, "Results", names.result_topic_name(deployment_id))
        for runtime, fleet in queues.fleets.items():
            # Ours, accepted and recorded. All others go to the submission handler first.
            accepted = {"accepted": _one_of("1"), "runtime": _one_of(runtime)}
            _subscribe(requests, fleet.queue, accepted, is_raw=True)
        # In its envelope: the message's attributes choose the runtime of a v1alpha1 sender.
        unaccepted = {"accepted": sns.SubscriptionFilter.not_exists_filter()}
        _subscribe(requests, queues.submissions.queue, unaccepted, is_raw=False)
        # In its envelope: an attribute says where it is to be posted.
        with_callback = {CALLBACK_URL: sns.SubscriptionFilter.exists_filter()}
        _subscribe(results, queues.callbacks.queue, with_callback, is_raw=False)


def _topic(scope: Construct, construct_id: str, name: str) -> sns.Topic:
    return sns.Topic(scope, construct_id, topic_name=name, enforce_ssl=True)


def _one_of(value: str) -> sns.SubscriptionFilter:
    return sns.SubscriptionFilter.string_filter(allowlist=[value])


def _subscribe(
    topic: sns.Topic, queue: sqs.IQueue, policy: Mapping[str, sns.SubscriptionFilter], *, is_raw: bool
) -> None:
    topic.add_subscription(subscriptions.SqsSubscription(queue, filter_policy=policy, raw_message_delivery=is_raw))
