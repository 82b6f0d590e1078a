"""Task records with compare-and-set by revision."""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import replace
from datetime import datetime

from sdfleet.domain import transitions
from sdfleet.domain.task import RECORD_LIFETIME, Task, TaskStatus
from sdfleet.errors import RecordConflict
from sdfleet.ports import IDEMPOTENCY_LIFETIME, Clock, IdempotencyRecord, UndispatchedTask, UnfinishedPart


class MemoryTaskStore:
    """A record past its lifetime is not there, as it is with DynamoDB's TTL."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, Task] = {}
        self._keys: dict[str, tuple[IdempotencyRecord, datetime]] = {}
        self._sweep_mark: datetime | None = None
        self._lock = threading.Lock()

    def load(self, task_id: str) -> Task | None:
        with self._lock:
            return deepcopy(self._living(task_id, self._clock.now()))

    def create(self, task: Task, *, replacing: Task | None, idempotency_key: str | None = None, now: datetime) -> Task:
        with self._lock:
            self._expect(task.id, replacing, now)
            if idempotency_key is not None:
                self._use_key(idempotency_key, task, now)
            return self._write(task, after=replacing)

    def save(self, task: Task, *, expecting: Task) -> Task:
        with self._lock:
            self._expect(task.id, expecting, self._clock.now())
            return self._write(task, after=expecting)

    def idempotency_record(self, key: str, *, now: datetime) -> IdempotencyRecord | None:
        with self._lock:
            return self._idempotency_record(key, now)

    def remember_key(self, key: str, task: Task, *, now: datetime) -> None:
        with self._lock:
            self._use_key(key, task, now)

    def due(self, *, now: datetime, limit: int) -> list[str]:
        with self._lock:
            waiting = [(due, task.id) for task in self._tasks.values() if (due := transitions.due_at(task)) is not None]
        return [task_id for due, task_id in sorted(waiting) if due <= now][:limit]

    def undispatched(self, *, after: datetime, until: datetime, limit: int) -> UnfinishedPart:
        with self._lock:
            unfinished = [(due, task) for task in self._tasks.values() if (due := transitions.due_at(task)) is not None]
        found = sorted((due, task.id, task) for due, task in unfinished if after < due <= until)
        part = found[:limit]
        return UnfinishedPart(
            undispatched=tuple(
                UndispatchedTask(task.id, due)
                for due, _, task in part
                if task.status is TaskStatus.QUEUED and task.dispatched_at is None
            ),
            count=len(part),
            until=part[-1][0] if len(part) < len(found) else until,
        )

    def sweep_mark(self) -> datetime | None:
        with self._lock:
            return self._sweep_mark

    def set_sweep_mark(self, until: datetime) -> None:
        with self._lock:
            self._sweep_mark = until

    def tasks(self) -> list[Task]:
        """Every record. For assertions: the port has no such thing."""
        with self._lock:
            return deepcopy(list(self._tasks.values()))

    def _living(self, task_id: str, now: datetime) -> Task | None:
        task = self._tasks.get(task_id)
        return task if task is not None and now < task.created_at + RECORD_LIFETIME else None

    def _expect(self, task_id: str, expected: Task | None, now: datetime) -> None:
        if expected is None:
            if self._living(task_id, now) is not None:
                raise RecordConflict("the id has a record already")
            return
        stored = self._tasks.get(task_id)
        if stored is None or (stored.run, stored.revision) != (expected.run, expected.revision):
            raise RecordConflict

    def _write(self, task: Task, *, after: Task | None) -> Task:
        # A new run goes on counting where the old one ended: a write that expects an old revision never fits again.
        written = replace(task, revision=(after.revision if after else 0) + 1)
        self._tasks[task.id] = deepcopy(written)
        return written

    def _use_key(self, key: str, task: Task, now: datetime) -> None:
        if self._idempotency_record(key, now) is not None:
            raise RecordConflict("the idempotency key is in use")
        record = IdempotencyRecord(task.id, task.run, task.fingerprint)
        self._keys[key] = (record, now + IDEMPOTENCY_LIFETIME)

    def _idempotency_record(self, key: str, now: datetime) -> IdempotencyRecord | None:
        record, until = self._keys.get(key, (None, now))
        return record if now < until else None
