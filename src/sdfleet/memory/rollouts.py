"""Rollouts by runtime."""

from __future__ import annotations

import threading
from dataclasses import replace

from sdfleet.domain.rollout_record import RolloutHistory
from sdfleet.errors import RecordConflict


class MemoryRollouts:
    def __init__(self) -> None:
        self._histories: dict[str, RolloutHistory] = {}
        self._lock = threading.Lock()

    def load(self, runtime: str) -> RolloutHistory:
        with self._lock:
            return self._histories.get(runtime, RolloutHistory())

    def save(self, runtime: str, history: RolloutHistory) -> None:
        with self._lock:
            if self._histories.get(runtime, RolloutHistory()).revision != history.revision:
                raise RecordConflict
            self._histories[runtime] = replace(history, revision=history.revision + 1)
