"""The concrete things behind the handlers, built once per process."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.content_items import DynamoContentItems
from sdfleet.aws.signed_links import artifact_store
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.task_table import DynamoTaskStore
from sdfleet.aws.topic import SnsTopic
from sdfleet.aws.waiting_room import DynamoWaitingRoom
from sdfleet.aws.wake_mark import DynamoWakeMark
from sdfleet.environment import DeploymentEnvironment, HandlerEnvironment
from sdfleet.ports import ArtifactStore, Clock, TaskQueue, TaskStore, Topic, WaitingRoom
from sdfleet.telemetry import logs
from sdfleet_lambdas.building import ONE_AT_A_TIME
from sdfleet_lambdas.inbox import Inbox
from sdfleet_lambdas.model_catalog import ModelCatalog
from sdfleet_lambdas.wake import FleetWaker


def _nobody_to_wake(_runtime: str) -> None:
    """The fleets scale by their alarms alone."""


@dataclass(frozen=True)
class Services:
    """What a handler works with. Tests build it from `sdfleet.memory`."""

    deployment: DeploymentEnvironment
    tasks: TaskStore
    artifacts: ArtifactStore
    #: Contents of accepted tasks.
    inbox: Inbox
    #: Where accepted tasks go out.
    requests: Topic
    #: Where notices go out.
    results: Topic
    #: The fleets' queues, by the runtime's name.
    queues: Mapping[str, TaskQueue]
    #: The fleets' and the submissions' dead-letter queues, by the queue's name.
    dead_letter_queues: Mapping[str, TaskQueue]
    waiting_room: WaitingRoom
    models: ModelCatalog
    clock: Clock
    #: Of the links in answers.
    link_lifetime: timedelta
    #: Ids of tasks, runs, uploads and places in the waiting room.
    new_id: Callable[[], str]
    #: Takes seconds.
    sleep: Callable[[float], None]
    #: Hosts that callbacks may go to although they are not public.
    callback_hosts: frozenset[str] = frozenset()
    #: Told of each task that has gone out to the runtime's queue.
    wake: Callable[[str], None] = _nobody_to_wake


def build(environ: Mapping[str, str]) -> Services:
    """Raises:
    ConfigError: the environment is not what the deployment writes.
    """
    deployment = DeploymentEnvironment.from_env(environ)
    handlers = HandlerEnvironment.from_env(environ)
    clients = Clients()
    artifacts = artifact_store(clients, deployment)
    clock = SystemClock()
    return Services(
        deployment=deployment,
        tasks=DynamoTaskStore(clients.dynamodb, deployment.table_name),
        artifacts=artifacts,
        inbox=Inbox(DynamoContentItems(clients.dynamodb, deployment.table_name), artifacts, deployment.inbox_bucket),
        requests=SnsTopic(clients.sns, deployment.request_topic_arn),
        results=SnsTopic(clients.sns, deployment.result_topic_arn),
        queues={runtime.name: SqsTaskQueue(clients.sqs, runtime.queue_url) for runtime in deployment.runtimes},
        dead_letter_queues={
            url.rsplit("/", 1)[-1]: SqsTaskQueue(clients.sqs, url) for url in deployment.dead_letter_queue_urls
        },
        waiting_room=DynamoWaitingRoom(clients.dynamodb, deployment.table_name, handlers.waiting_cap),
        models=ModelCatalog(artifacts, clock, deployment.model_bucket),
        clock=clock,
        link_lifetime=timedelta(seconds=handlers.link_lifetime_s),
        new_id=_random_id,
        sleep=time.sleep,
        callback_hosts=frozenset(handlers.callback_hosts),
        wake=_waker(clients, deployment, handlers, clock),
    )


def _waker(
    clients: Clients, deployment: DeploymentEnvironment, handlers: HandlerEnvironment, clock: Clock
) -> Callable[[str], None]:
    if handlers.wake_topic_arn is None:
        return _nobody_to_wake
    mark = DynamoWakeMark(clients.dynamodb, deployment.table_name)
    waker = FleetWaker(mark, SnsTopic(clients.sns, handlers.wake_topic_arn), clock)
    scaled = handlers.scaled_runtimes
    return lambda runtime: waker.wake(runtime) if not scaled or runtime in scaled else None


def services() -> Services:
    """This process's own, from its environment; sets up logging on the way."""
    with ONE_AT_A_TIME:
        return _services()


@cache
def _services() -> Services:
    logs.configure(HandlerEnvironment.from_env(os.environ).log_level)
    return build(os.environ)


def _random_id() -> str:
    return uuid.uuid4().hex
