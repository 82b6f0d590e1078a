"""Both implementations of every port, behind one fixture each: the suites run once in memory and once on AWS."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from builders import NOON
from sdfleet.aws.artifact_store import S3ArtifactStore
from sdfleet.aws.callback_secret import SsmCallbackSecret
from sdfleet.aws.clients import Clients
from sdfleet.aws.content_items import DynamoContentItems
from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.aws.rollout_table import DynamoRollouts
from sdfleet.aws.spot_table import DynamoSpotPrices
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.task_table import DynamoTaskStore, table_definition
from sdfleet.aws.waiting_room import DynamoWaitingRoom
from sdfleet.domain import names
from sdfleet.fleet_ports import ReleaseStore, RolloutStore, SpotPrices
from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.memory.callback_secret import MemoryCallbackSecret
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.content_items import MemoryContentItems
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet.memory.rollouts import MemoryRollouts
from sdfleet.memory.spot_prices import MemorySpotPrices
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.memory.task_store import MemoryTaskStore
from sdfleet.memory.waiting_room import MemoryWaitingRoom
from sdfleet.ports import ArtifactStore, CallbackSecret, ContentItems, TaskQueue, TaskStore, WaitingRoom

BUCKET = "contract-objects"
CAP = 2

on_both = pytest.fixture(params=["memory", "aws"])


class OneAtATime:
    """Calls of DynamoDB one after the other: moto rolls a transaction back by restoring the whole table."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        is_dynamodb = environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_")
        with self._turn if is_dynamodb else nullcontext():
            return self._app(environ, start_response)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    app = OneAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def clients(endpoint: str) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_ENDPOINT_URL", endpoint)
        built = Clients()
        services: list[Any] = [
            built.sqs,
            built.sns,
            built.s3,
            built.dynamodb,
            built.ssm,
            built.ec2,
            built.autoscaling,
            built.events,
        ]
        services.append(built.cloudwatch)
    built.s3.create_bucket(Bucket=BUCKET)
    yield built
    for service in services:
        service.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def table_name(clients: Clients) -> str:
    name = f"tasks-{uuid.uuid4().hex}"
    clients.dynamodb.create_table(**table_definition(name))
    return name


@pytest.fixture
def queue_url(clients: Clients) -> str:
    return clients.sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex}")["QueueUrl"]


@on_both
def queue(request: pytest.FixtureRequest, clock: FakeClock) -> TaskQueue:
    if request.param == "memory":
        return MemoryTaskQueue(clock)
    return SqsTaskQueue(_clients(request).sqs, request.getfixturevalue("queue_url"))


@on_both
def store(request: pytest.FixtureRequest, clock: FakeClock) -> TaskStore:
    if request.param == "memory":
        return MemoryTaskStore(clock)
    return DynamoTaskStore(_clients(request).dynamodb, request.getfixturevalue("table_name"), clock=clock)


@on_both
def objects(request: pytest.FixtureRequest) -> ArtifactStore:
    return MemoryArtifactStore() if request.param == "memory" else S3ArtifactStore(_clients(request).s3)


@on_both
def content_items(request: pytest.FixtureRequest, clock: FakeClock) -> ContentItems:
    if request.param == "memory":
        return MemoryContentItems(clock)
    return DynamoContentItems(_clients(request).dynamodb, request.getfixturevalue("table_name"), clock=clock)


@on_both
def room(request: pytest.FixtureRequest) -> WaitingRoom:
    """With places for CAP."""
    if request.param == "memory":
        return MemoryWaitingRoom(CAP)
    return DynamoWaitingRoom(_clients(request).dynamodb, request.getfixturevalue("table_name"), CAP)


@on_both
def releases(request: pytest.FixtureRequest) -> ReleaseStore:
    if request.param == "memory":
        return MemoryReleaseStore()
    return SsmReleaseStore(_clients(request).ssm, f"deployment-{uuid.uuid4().hex}")


@on_both
def rollouts(request: pytest.FixtureRequest) -> RolloutStore:
    if request.param == "memory":
        return MemoryRollouts()
    return DynamoRollouts(_clients(request).dynamodb, request.getfixturevalue("table_name"))


@on_both
def spot_prices(request: pytest.FixtureRequest) -> SpotPrices:
    if request.param == "memory":
        return MemorySpotPrices()
    return DynamoSpotPrices(_clients(request).dynamodb, request.getfixturevalue("table_name"))


@on_both
def callback_secret(request: pytest.FixtureRequest) -> CallbackSecret:
    if request.param == "memory":
        return MemoryCallbackSecret()
    return SsmCallbackSecret(_clients(request).ssm, names.callback_secret_parameter(uuid.uuid4().hex))


def _clients(request: pytest.FixtureRequest) -> Clients:
    clients: Clients = request.getfixturevalue("clients")
    return clients
