"""A usage plan's limit: so many requests a second, with bursts (API Gateway's token bucket)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class TokenBucket:
    def __init__(self, *, rate: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`rate` in requests a second; `burst` may come at once after a quiet time."""
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._filled_at = monotonic()
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """None: go on. Else the whole seconds after which a request is taken again, as `Retry-After` wants them."""
        with self._lock:
            now = self._monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return None
            return max(1, math.ceil((1 - self._tokens) / self._rate))
