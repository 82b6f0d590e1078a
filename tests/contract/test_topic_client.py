"""A service without an API, as its operator's commands reach it: by its topic, its table and its bucket."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from builders import NOON, a_failed_task, a_queued_task, a_succeeded_task, a_task, an_artifact
from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.task_table import DynamoTaskStore
from sdfleet.domain.task import Task
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment.topic_client import TopicClient

PATIENCE = timedelta(minutes=5)


@pytest.fixture
def topic_arn(clients: Clients) -> str:
    return clients.sns.create_topic(Name=f"requests-{uuid.uuid4().hex}")["TopicArn"]


@pytest.fixture
def service(clients: Clients, topic_arn: str, table_name: str) -> TopicClient:
    return TopicClient(clients, topic_arn, table_name, pause=lambda _: None)


def recorded(clients: Clients, table_name: str, task: Task) -> None:
    DynamoTaskStore(clients.dynamodb, table_name).create(task, replacing=None, now=NOON)


def test_a_task_is_published_for_its_runtime(
    clients: Clients, service: TopicClient, topic_arn: str, queue_url: str
) -> None:
    answer = clients.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    clients.sns.subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=answer["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"runtime": ["sdruntime"]})},
    )
    task = {"metadata": {"id": "first", "runtime": "sdruntime"}, "content": {"prompt": "A dog"}}
    assert service.submit(task) == "first"
    queue = SqsTaskQueue(clients.sqs, queue_url)
    (message,) = queue.receive(max_messages=10, wait=timedelta(0), visibility=timedelta(seconds=30))
    assert json.loads(message.body) == task


def test_a_picture_is_told_with_a_link_and_how_long_it_took(
    clients: Clients, service: TopicClient, table_name: str
) -> None:
    task = a_succeeded_task(artifacts=(an_artifact(),))
    recorded(clients, table_name, task)
    outcome = service.outcome(task.id, patience=PATIENCE, on_wait=lambda *_: None)
    assert outcome.is_success
    assert outcome.locations == (an_artifact().url,)
    assert outcome.links[0].startswith("http")
    assert task.started_at is not None
    assert task.finished_at is not None
    assert outcome.queue_s == (task.started_at - task.created_at).total_seconds()
    assert outcome.run_s == (task.finished_at - task.started_at).total_seconds()


def test_a_failure_is_told_with_its_code(clients: Clients, service: TopicClient, table_name: str) -> None:
    task = a_failed_task()
    recorded(clients, table_name, task)
    outcome = service.outcome(task.id, patience=PATIENCE, on_wait=lambda *_: None)
    assert not outcome.is_success
    assert task.error is not None
    assert outcome.error == f"{task.error.code}: {task.error.message}"


def test_who_waits_hears_how_far_it_is(clients: Clients, table_name: str, topic_arn: str) -> None:
    store = DynamoTaskStore(clients.dynamodb, table_name)
    heard: list[str] = []
    steps: Iterator[Callable[[], None]] = iter(
        [lambda: recorded(clients, table_name, a_queued_task()), lambda: end(store)]
    )
    service = TopicClient(clients, topic_arn, table_name, pause=lambda _: next(steps)())
    service.outcome(a_task().id, patience=PATIENCE, on_wait=lambda status, _: heard.append(status))
    assert heard == ["not recorded", "queued"]


def end(store: DynamoTaskStore) -> None:
    found = store.load(a_task().id)
    assert found is not None
    store.save(a_succeeded_task(revision=found.revision), expecting=found)


def test_a_task_that_nobody_makes_is_given_up_with_what_to_look_at(service: TopicClient) -> None:
    with pytest.raises(DeploymentError, match="Task lost is not recorded after 0 minutes"):
        service.outcome("lost", patience=timedelta(0), on_wait=lambda *_: None)
