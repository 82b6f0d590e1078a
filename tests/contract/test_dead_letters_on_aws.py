"""The sweeper at real queues: what local mode provisions, put together as a function's process does it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from builders import a_queued_task
from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.task_table import DynamoTaskStore
from sdfleet.domain import names
from sdfleet.domain.task import RuntimeType
from sdfleet.domain.wire import messages
from sdfleet.environment import DeploymentEnvironment, HandlerEnvironment
from sdfleet.ports import QueueCounts
from sdfleet_lambdas import composition, sweeper
from sdfleet_lambdas.composition import Services
from sdfleet_local.plan import PlannedRuntime
from sdfleet_local.provisioning import provision

RUNTIMES = (PlannedRuntime("sdruntime", RuntimeType.SDWEBUI), PlannedRuntime("comfy-flow", RuntimeType.COMFYUI))
EMPTY = QueueCounts(visible=0, in_flight=0)


@pytest.fixture(scope="module")
def deployment(clients: Clients) -> DeploymentEnvironment:
    return provision(clients, RUNTIMES, model_bucket=None).deployment


@pytest.fixture
def services(clients: Clients, deployment: DeploymentEnvironment, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setattr(composition, "Clients", lambda: clients)
    return composition.build({**deployment.to_env(), **HandlerEnvironment().to_env()})


def test_the_sweeper_empties_the_dead_letter_queue_of_every_fleet_and_of_the_submissions(
    clients: Clients, deployment: DeploymentEnvironment, services: Services
) -> None:
    queues = ("local-submissions-dead-letters", "local-sdruntime-dead-letters", "local-comfy-flow-dead-letters")
    assert set(services.dead_letter_queues) == set(queues)
    for name in queues:
        url = clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        clients.sqs.send_message(QueueUrl=url, MessageBody=f"no message of ours, in {name}")

    sweeper.handle({}, services)

    assert [queue.counts() for queue in services.dead_letter_queues.values()] == [EMPTY] * 3
    listed = clients.s3.list_objects_v2(Bucket=deployment.inbox_bucket, Prefix=names.DEAD_LETTER_PREFIX)["Contents"]
    assert sorted(one["Key"].split("/")[1] for one in listed) == sorted(queues)


def test_what_may_run_again_is_back_in_its_fleets_queue(
    clients: Clients, deployment: DeploymentEnvironment, services: Services
) -> None:
    store = DynamoTaskStore(clients.dynamodb, deployment.table_name)
    now = services.clock.now()
    fresh = a_queued_task(id="again", created_at=now, expires_at=now + timedelta(days=7), dispatched_at=now)
    task = store.create(fresh, replacing=None, now=now)
    body = messages.write_message(task, {"prompt": "A dog"})
    services.dead_letter_queues["local-sdruntime-dead-letters"].send(body)

    sweeper.handle({}, services)

    runtime = deployment.runtime("sdruntime")
    assert runtime is not None
    queue = SqsTaskQueue(clients.sqs, runtime.queue_url)
    (message,) = queue.receive(max_messages=1, wait=timedelta(0), visibility=timedelta(seconds=30))
    assert message.body == body
    assert store.load("again") == task
    assert services.dead_letter_queues["local-sdruntime-dead-letters"].counts() == EMPTY
