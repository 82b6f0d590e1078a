"""Places for requests that wait."""

from __future__ import annotations

import threading
from datetime import datetime


class MemoryWaitingRoom:
    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._places: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def enter(self, token: str, *, now: datetime, until: datetime) -> bool:
        with self._lock:
            self._places = {holder: end for holder, end in self._places.items() if end > now}
            if token not in self._places and len(self._places) >= self._cap:
                return False
            self._places[token] = until
            return True

    def leave(self, token: str) -> None:
        with self._lock:
            self._places.pop(token, None)
