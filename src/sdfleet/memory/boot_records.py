"""How boots end, by fleet and release."""

from __future__ import annotations

import threading
from datetime import datetime

from sdfleet.domain import boot_record
from sdfleet.domain.boot_record import BootRecord


class MemoryBootRecords:
    def __init__(self) -> None:
        self._records: dict[tuple[str, str], BootRecord] = {}
        self._lock = threading.Lock()

    def load(self, runtime: str, release: str) -> BootRecord:
        with self._lock:
            return self._records.get((runtime, release), BootRecord())

    def failed(self, runtime: str, release: str, *, instance_id: str, reason: str, now: datetime) -> None:
        before = self.load(runtime, release)
        with self._lock:
            self._records[runtime, release] = boot_record.failed(
                before, instance_id=instance_id, reason=reason, now=now
            )

    def completed(self, runtime: str, release: str, *, boot_s: float, now: datetime) -> None:
        before = self.load(runtime, release)
        with self._lock:
            self._records[runtime, release] = boot_record.completed(before, boot_s=boot_s)
