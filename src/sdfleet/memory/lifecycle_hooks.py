"""A group's termination hook: which instances it waits for, and until when."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from sdfleet.domain import interruption
from sdfleet.errors import LifecycleActionNotFound
from sdfleet.ports import Clock


class MemoryLifecycleHooks:
    def __init__(self, clock: Clock, *, timeout: timedelta) -> None:
        self._clock = clock
        self._timeout = timeout
        #: Since when, and until when, by instance.
        self._waits: dict[str, tuple[datetime, datetime]] = {}
        self._lock = threading.Lock()

    def begin(self, instance_id: str) -> None:
        """The group decides that the instance goes, and waits for it."""
        with self._lock:
            now = self._clock.now()
            self._waits[instance_id] = now, now + self._timeout

    def waits_for(self, instance_id: str) -> bool:
        with self._lock:
            return instance_id in self._waits and self._clock.now() < self._waits[instance_id][1]

    def complete(self, instance_id: str) -> None:
        if not self.waits_for(instance_id):
            raise LifecycleActionNotFound
        with self._lock:
            del self._waits[instance_id]

    def heartbeat(self, instance_id: str) -> None:
        if not self.waits_for(instance_id):
            raise LifecycleActionNotFound
        with self._lock:
            since, _ = self._waits[instance_id]
            latest = since + interruption.longest_wait(self._timeout)
            self._waits[instance_id] = since, min(latest, self._clock.now() + self._timeout)
