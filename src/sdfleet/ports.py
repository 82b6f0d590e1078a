"""What the product needs of the world: `sdfleet.aws` and `sdfleet.memory` implement every port.

One contract suite checks both.
Every call may raise `ServiceUnavailable`; calls block, and the scheduler makes them through `offload`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

# Named here and not used: a function loads the parts of the domain that it works with.
if TYPE_CHECKING:
    from sdfleet.domain.task import Task

#: An idempotency key stands for its task this long (wire contract, Requests).
IDEMPOTENCY_LIFETIME = timedelta(days=1)


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""


@dataclass(frozen=True)
class QueueMessage:
    message_id: str
    #: Names this receive of the message; a later receive makes it stale.
    receipt: str
    body: str = field(repr=False)
    #: How often the message was received, this time included.
    receive_count: int = 1
    #: The message group it was sent with: whose turn it is when one tenant floods the queue.
    group: str | None = None


@dataclass(frozen=True)
class QueueCounts:
    """About how many messages wait, and how many are in somebody's hands."""

    visible: int
    in_flight: int


class TaskQueue(Protocol):
    def receive(self, *, max_messages: int, wait: timedelta, visibility: timedelta) -> list[QueueMessage]:
        """Up to `max_messages` (1 to 10), invisible to others for `visibility`; waits up to `wait` (at most 20 s)."""

    def extend(self, receipt: str, by: timedelta) -> None:
        """Keep the message invisible for `by` more, counted from now; zero makes it visible at once.

        SQS counts from this call, not from the previous expiry, and refuses a total above 12 hours
        (API Reference, ChangeMessageVisibility).

        Raises:
            LeaseLost: the visibility timeout passed (another instance may hold the message), or the 12 hours did.
        """

    def delete(self, receipt: str) -> None:
        """Remove the message. A stale receipt is no error (real SQS may even delete by it: check the lease first)."""

    def send(self, body: str, *, group: str | None = None) -> None:
        """Put a message into the queue, as the sweeper does with a dead letter whose task may run again."""

    def depth(self) -> int:
        """About how many messages are in the queue, visible, delayed and in flight."""

    def counts(self) -> QueueCounts:
        """The same by kind; those that are delayed wait."""


class Topic(Protocol):
    def publish(self, body: str, attributes: Mapping[str, str], *, group: str | None = None) -> None:
        """Deliver to every subscription whose filter takes `attributes`; returns once the topic has it.

        Queues get the message with its `group`; other kinds of subscription do not see it.
        """


@dataclass(frozen=True)
class IdempotencyRecord:
    task_id: str
    run: str
    fingerprint: str


@dataclass(frozen=True)
class UndispatchedTask:
    task_id: str
    expires_at: datetime


@dataclass(frozen=True)
class UnfinishedPart:
    """Some of the tasks that have not ended, looked through in the order of their expiry."""

    undispatched: tuple[UndispatchedTask, ...]
    #: How many there were, dispatched ones too.
    count: int
    #: The expiry up to which none was left out.
    until: datetime


class TaskStore(Protocol):
    def load(self, task_id: str) -> Task | None:
        """The newest record (a consistent read)."""

    def create(self, task: Task, *, replacing: Task | None, idempotency_key: str | None = None, now: datetime) -> Task:
        """Write the first record of a run, and the idempotency key (it lives a day) in the same transaction.

        `replacing` is the terminal record of the id's former run, as it was read; None: there is no record.

        Raises:
            RecordConflict: the record is not as expected, or the key is in use.
        """

    def save(self, task: Task, *, expecting: Task) -> Task:
        """Write `task` if the record is still as `expecting` was read; returns it with its new revision.

        Raises:
            RecordConflict: it is not.
        """

    def idempotency_record(self, key: str, *, now: datetime) -> IdempotencyRecord | None: ...

    def remember_key(self, key: str, task: Task, *, now: datetime) -> None:
        """Let an idempotency key stand for a task that exists already, for a day.

        Raises:
            RecordConflict: the key is in use.
        """

    def due(self, *, now: datetime, limit: int) -> list[str]:
        """Ids of tasks whose `transitions.due_at` has passed, the longest-waiting first. May lag by seconds."""

    def undispatched(self, *, after: datetime, until: datetime, limit: int) -> UnfinishedPart:
        """Look through about `limit` tasks that expire after `after`, and no later than `until`. May lag by seconds."""

    def sweep_mark(self) -> datetime | None:
        """The expiry up to which undispatched tasks were looked for."""

    def set_sweep_mark(self, until: datetime) -> None: ...


class ContentItems(Protocol):
    """Small contents of accepted tasks, packed, each beside its task's record."""

    def put(self, task_id: str, run: str, packed: bytes, *, until: datetime) -> None:
        """Keep it until `until`; a second put of a run replaces the first."""

    def get(self, task_id: str, run: str) -> bytes:
        """Raises:
        ObjectNotFound: none was put, or its time is over.
        """


class ArtifactStore(Protocol):
    """Objects by `s3://` URL."""

    def put(self, url: str, data: bytes, *, content_type: str) -> None: ...

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Raises:
        ObjectNotFound: none there, or no right to see it.
        PayloadTooLarge: it has more than `max_bytes`; nothing was read.
        """

    def exists(self, url: str) -> bool: ...

    def link(self, url: str, *, lifetime: timedelta) -> str:
        """An https link that reads the object without credentials until `lifetime` has passed."""

    def upload_link(self, url: str, *, content_type: str, size_bytes: int, lifetime: timedelta) -> str:
        """A link that takes one PUT of exactly this type and size."""


class LifecycleHooks(Protocol):
    """The termination hook of one Auto Scaling group: it keeps an instance that is to go until its work is settled."""

    def complete(self, instance_id: str) -> None:
        """Let the group go on with the instance's end. Only once everything in hand is settled.

        Raises:
            LifecycleActionNotFound: the group does not wait for this instance.
        """

    def heartbeat(self, instance_id: str) -> None:
        """Have the group wait for the hook's timeout from now; in all 48 h or 100 timeouts at most.

        Raises:
            LifecycleActionNotFound: the group does not wait for this instance.
        """


class InstanceHealth(Protocol):
    """What Auto Scaling thinks of a group's instances."""

    def report_unhealthy(self, instance_id: str) -> None:
        """Have the group replace the instance now, however young it is; its termination hook still waits for it.

        Raises:
            ServiceUnavailable: also where no group has such an instance.
        """


class WakeMark(Protocol):
    def wake(self, runtime: str, *, now: datetime) -> bool:
        """Mark that a task was handed in, if nobody looks within seconds; False: somebody does."""


class WaitingRoom(Protocol):
    """Caps the requests that wait for their task's end (`Prefer: wait`)."""

    def enter(self, token: str, *, now: datetime, until: datetime) -> bool:
        """Take a place until `until` at the latest; False when all are taken."""

    def leave(self, token: str) -> None: ...


class CallbackSecret(Protocol):
    """The deployment's signing secrets of callbacks: one or two `whsec_...`, separated by a space, the newest first."""

    def read(self) -> str:
        """The secrets; made at the first reading, whoever that is."""

    def rotate(self) -> str:
        """A new secret before the newest one; both sign until `drop_former`."""

    def drop_former(self) -> str:
        """The newest secret, which is from now on the only one."""


@dataclass(frozen=True)
class ModelObject:
    """A file of the model bucket, as a listing shows it."""

    key: str
    size_bytes: int
    #: Changes with the content: parts of two contents are never put together.
    etag: str
    modified_at: datetime


class ModelBucket(Protocol):
    """The model bucket of a deployment, for reading."""

    def objects(self, prefix: str = "") -> list[ModelObject]:
        """Every object whose key begins with `prefix`, however many there are; folders' own markers left out."""

    def read(self, model: ModelObject, *, offset: int, size_bytes: int) -> Iterator[bytes | memoryview]:
        """The object's bytes from `offset`, at most a mebibyte at a time, so that gigabytes never lie in memory.

        Each piece is good until the next is asked for, which may come in the same place.

        Raises:
            ObjectNotFound: it is gone, or has other content since it was listed.
        """
