"""Small contents by task and run."""

from __future__ import annotations

import threading
from datetime import datetime

from sdfleet.errors import ObjectNotFound
from sdfleet.ports import Clock


class MemoryContentItems:
    """An item past its time is not there, as it is with DynamoDB's TTL."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: dict[tuple[str, str], tuple[bytes, datetime]] = {}
        self._lock = threading.Lock()

    def put(self, task_id: str, run: str, packed: bytes, *, until: datetime) -> None:
        with self._lock:
            self._items[task_id, run] = (bytes(packed), until)

    def get(self, task_id: str, run: str) -> bytes:
        with self._lock:
            found = self._items.get((task_id, run))
        if found is None or found[1] <= self._clock.now():
            raise ObjectNotFound("The task's content is no longer in the table.")
        return found[0]

    def runs(self) -> list[tuple[str, str]]:
        """Task and run of every item, sorted. For assertions: the port has no such thing."""
        with self._lock:
            return sorted(self._items)
