"""Release parameters, by runtime and name."""

from __future__ import annotations

import threading


class MemoryReleaseStore:
    def __init__(self) -> None:
        self._parameters: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def read(self, runtime: str, name: str) -> str | None:
        with self._lock:
            return self._parameters.get((runtime, name))

    def write(self, runtime: str, name: str, value: str) -> None:
        with self._lock:
            self._parameters[runtime, name] = value

    def create(self, runtime: str, name: str, value: str) -> bool:
        with self._lock:
            if (runtime, name) in self._parameters:
                return False
            self._parameters[runtime, name] = value
            return True
