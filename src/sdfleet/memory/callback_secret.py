"""The signing secrets of callbacks, for tests: predictable, one after the other."""

from __future__ import annotations

import itertools
import threading

from sdfleet.domain import callback


class MemoryCallbackSecret:
    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._secrets: str | None = None
        self._lock = threading.Lock()

    def read(self) -> str:
        with self._lock:
            if self._secrets is None:
                self._secrets = self._made()
            return self._secrets

    def rotate(self) -> str:
        former = self.read()
        with self._lock:
            self._secrets = callback.rotated(former, self._made())
            return self._secrets

    def drop_former(self) -> str:
        newest = self.read().split()[0]
        with self._lock:
            self._secrets = newest
            return newest

    def _made(self) -> str:
        return callback.new_secret(next(self._numbers).to_bytes(32))
