"""What the fast scaler remembers, and what instances say of themselves."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sdfleet.domain.scaler_record import InstanceWork, ScalerRecord
from sdfleet.errors import RecordConflict


class MemoryScalerStore:
    def __init__(self) -> None:
        self._records: dict[str, ScalerRecord] = {}
        self._lock = threading.Lock()

    def load(self, runtime: str) -> ScalerRecord:
        with self._lock:
            return self._records.get(runtime, ScalerRecord())

    def save(self, runtime: str, record: ScalerRecord) -> ScalerRecord:
        with self._lock:
            if self._records.get(runtime, ScalerRecord()).revision != record.revision:
                raise RecordConflict
            saved = replace(record, revision=record.revision + 1)
            self._records[runtime] = saved
            return saved

    def wake(self, runtime: str, *, now: datetime) -> bool:
        with self._lock:
            record = self._records.get(runtime, ScalerRecord())
            if not record.is_asleep(now):
                return False
            self._records[runtime] = replace(record.woken(now), revision=record.revision + 1)
            return True


class MemoryWorkReports:
    def __init__(self) -> None:
        self._reports: dict[str, InstanceWork] = {}
        self._lock = threading.Lock()

    def report(self, work: InstanceWork) -> None:
        with self._lock:
            self._reports[work.instance_id] = work

    def read(self, instance_ids: Sequence[str]) -> dict[str, InstanceWork]:
        with self._lock:
            return {one: self._reports[one] for one in instance_ids if one in self._reports}
