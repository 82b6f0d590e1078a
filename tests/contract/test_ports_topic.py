"""Topic, in memory and on SNS: subscriptions take what their filter policies take."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.topic import SnsTopic
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.memory.topic import FilterPolicy, MemoryTopic
from sdfleet.ports import TaskQueue, Topic

ACCEPTED: FilterPolicy = {"runtime": ["sdruntime"], "accepted": ["1"]}
DIRECT: FilterPolicy = {"accepted": [{"exists": False}]}

Subscribe = Callable[[FilterPolicy], TaskQueue]


@pytest.fixture(params=["memory", "aws"])
def subscribed(request: pytest.FixtureRequest) -> tuple[Topic, Subscribe]:
    """A topic, and what makes a queue that is subscribed to it with a policy."""
    if request.param == "memory":
        topic = MemoryTopic()

        def subscribe(policy: FilterPolicy) -> TaskQueue:
            queue = MemoryTaskQueue(FakeClock())
            topic.subscribe(queue, policy)
            return queue

        return topic, subscribe
    clients: Clients = request.getfixturevalue("clients")
    arn = clients.sns.create_topic(Name=f"topic-{uuid.uuid4().hex}")["TopicArn"]

    def subscribe_queue(policy: FilterPolicy) -> TaskQueue:
        name = f"queue-{uuid.uuid4().hex}"
        url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps(policy)}
        endpoint = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        clients.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes=attributes)
        return SqsTaskQueue(clients.sqs, url)

    return SnsTopic(clients.sns, arn), subscribe_queue


def bodies(queue: TaskQueue) -> list[str]:
    messages = queue.receive(max_messages=10, wait=timedelta(0), visibility=timedelta(seconds=30))
    return [message.body for message in messages]


def test_a_queue_gets_what_its_policy_takes(subscribed: tuple[Topic, Subscribe]) -> None:
    topic, subscribe = subscribed
    queue = subscribe(ACCEPTED)
    topic.publish("mine", {"runtime": "sdruntime", "accepted": "1"})
    assert bodies(queue) == ["mine"]


def test_a_queue_gets_nothing_of_another_runtime(subscribed: tuple[Topic, Subscribe]) -> None:
    topic, subscribe = subscribed
    queue = subscribe(ACCEPTED)
    topic.publish("theirs", {"runtime": "comfyruntime", "accepted": "1"})
    assert bodies(queue) == []


def test_a_direct_message_goes_where_the_mark_of_acceptance_must_be_absent(subscribed: tuple[Topic, Subscribe]) -> None:
    topic, subscribe = subscribed
    accepted, direct = subscribe(ACCEPTED), subscribe(DIRECT)
    topic.publish("direct", {"runtime": "sdruntime"})
    assert bodies(accepted) == []
    assert bodies(direct) == ["direct"]


def test_every_subscription_that_takes_it_gets_it(subscribed: tuple[Topic, Subscribe]) -> None:
    topic, subscribe = subscribed
    first, second = subscribe({}), subscribe({})
    topic.publish("news", {})
    assert (bodies(first), bodies(second)) == (["news"], ["news"])


def test_the_topic_in_memory_remembers_what_was_published() -> None:
    topic = MemoryTopic()
    topic.publish("news", {"runtime": "sdruntime"})
    (publication,) = topic.published
    assert (publication.body, publication.attributes) == ("news", {"runtime": "sdruntime"})


def test_a_topic_that_is_not_there_is_unavailable(clients: Clients) -> None:
    with pytest.raises(ServiceUnavailable):
        SnsTopic(clients.sns, "arn:aws:sns:us-east-1:123456789012:gone").publish("news", {})


def test_a_queue_gets_the_message_with_its_group(subscribed: tuple[Topic, Subscribe]) -> None:
    topic, subscribe = subscribed
    queue = subscribe(ACCEPTED)
    attributes = {"runtime": "sdruntime", "accepted": "1"}
    topic.publish("grouped", attributes, group="tenant-a")
    topic.publish("alone", attributes)
    messages = queue.receive(max_messages=10, wait=timedelta(0), visibility=timedelta(seconds=30))
    assert {message.body: message.group for message in messages} == {"grouped": "tenant-a", "alone": None}
