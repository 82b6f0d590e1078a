"""What the service left behind: records, objects, notices. Collected past the fault proxy."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from sdfleet.aws.artifact_store import S3ArtifactStore
from sdfleet.aws.clients import Clients
from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.task_record import PARTITION_KEY, from_item, task_id_of, task_key
from sdfleet.aws.task_table import DynamoTaskStore
from sdfleet.domain import names
from sdfleet.domain.task import JsonObject, Task
from sdfleet.errors import ServiceUnavailable
from sdfleet_local.chaos.traffic import RUNTIME, Poison, bucket_of
from sdfleet_local.plan import DEPLOYMENT_ID

_LONG_POLL_S = 1
#: The largest object that a task of the storm can have.
_MAX_OBJECT_BYTES = 1024 * 1024
#: Records between two looks whether that is enough.
_READ_AT_ONCE = 10
_AT_ONCE = 4


@dataclass(frozen=True)
class Evidence:
    accepted: frozenset[str]
    #: Ids whose cancel was asked for.
    cancel_asked: frozenset[str]
    poisons: tuple[Poison, ...]
    records: Mapping[str, Task]
    notices: tuple[JsonObject, ...]
    #: All of the output bucket, by key.
    objects: Mapping[str, bytes] = field(repr=False)
    #: The texts of all kept dead letters.
    dead_letters: tuple[str, ...] = field(repr=False)
    #: What the runtimes did to a task, by id: the kinds of fault.
    runtime_faults: Mapping[str, Sequence[str]]
    #: The codes with which tasks had to fail, by id.
    flaws: Mapping[str, str] = field(default_factory=dict)
    #: Instances whose runtime hung for longer than the service promises.
    unended_hangs: Sequence[str] = ()


class Listener:
    """A subscriber to a topic of the deployment: everything that is published from its start on."""

    def __init__(self, clients: Clients, topic_arn: str, policy: Mapping[str, Sequence[str]] | None = None) -> None:
        self._sqs = clients.sqs
        self._url = self._sqs.create_queue(QueueName=f"chaos-{uuid.uuid4().hex}")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        options = {"RawMessageDelivery": "true"}
        if policy is not None:
            options["FilterPolicy"] = json.dumps(policy)
        clients.sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=attributes["QueueArn"], Attributes=options)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        #: Bodies in the order of their arrival.
        self.heard: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Returns when all that was published has been heard."""
        self._stopping.set()
        self._thread.join(60.0)

    def _listen(self) -> None:
        while True:
            try:
                heard = self._receive()
            except ServiceUnavailable:
                # The endpoint is busy, or it has ended with the deployment.
                if self._stopping.wait(_LONG_POLL_S):
                    return
                continue
            self.heard += heard
            if not heard and self._stopping.is_set():
                return

    def _receive(self) -> list[str]:
        with translated():
            answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=_LONG_POLL_S)
            messages = answer.get("Messages", [])
            if messages:
                self._sqs.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                        for index, message in enumerate(messages)
                    ],
                )
        return [message["Body"] for message in messages]


class Records:
    """Reads the tasks' records and the queue's depth."""

    def __init__(self, clients: Clients, outputs: Mapping[str, str]) -> None:
        self._dynamodb = clients.dynamodb
        self._table = f"{DEPLOYMENT_ID}-tasks"
        self._store = DynamoTaskStore(clients.dynamodb, self._table)
        self._queue = SqsTaskQueue(clients.sqs, outputs[f"{names.camel_case(RUNTIME)}QueueUrl"])
        #: As they were read last.
        self.known: dict[str, Task] = {}

    def unsettled(self, ids: Collection[str]) -> list[str]:
        """Some of those that have not ended, or of whose end nobody was told; none if there are no such.

        It reads no further than to the first: a storm needs the endpoint for itself.
        """
        left = self._left(ids)
        for start in range(0, len(left), _READ_AT_ONCE):
            part = left[start:][:_READ_AT_ONCE]
            for task_id in part:
                task = self._store.load(task_id)
                if task is not None:
                    self.known[task_id] = task
            if still := self._left(part):
                return still
        return []

    def reload(self) -> None:
        """All of them once more: an end must stay the end."""
        with translated():
            for page in self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True):
                for item in page["Items"]:
                    key = item[PARTITION_KEY]["S"]
                    if key == task_key(task_id_of(key)):
                        task = from_item(item)
                        self.known[task.id] = task

    def _left(self, ids: Iterable[str]) -> list[str]:
        found = ((task_id, self.known.get(task_id)) for task_id in ids)
        return [task_id for task_id, task in found if task is None or task.notified_at is None]

    def depth(self) -> int:
        return self._queue.depth()


def read_bucket(clients: Clients, bucket: str, prefix: str = "") -> dict[str, bytes]:
    """Every object below `prefix`, by key."""
    store = S3ArtifactStore(clients.s3)
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(key: str) -> bytes:
        return store.get(names.s3_url(bucket, key), max_bytes=_MAX_OBJECT_BYTES)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(keys, pool.map(read, keys), strict=True))


def read_dead_letters(clients: Clients, outputs: dict[str, str]) -> tuple[str, ...]:
    kept = read_bucket(clients, bucket_of(outputs, "inbox"), names.DEAD_LETTER_PREFIX)
    return tuple(body.decode(errors="replace") for body in kept.values())
