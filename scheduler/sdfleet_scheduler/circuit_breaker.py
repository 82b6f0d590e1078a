"""Stops an instance that fails everything: a broken one must not eat the queue."""

from __future__ import annotations

from datetime import datetime, timedelta

from sdfleet.ports import Clock
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

#: Failures in a row that may be chance or one batch of a customer; with three attempts a task meets two instances.
TRIPS_AT = 3
#: A driver that lost its GPU does not come back; a full disk or a lost network may.
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)


class CircuitBreaker:
    """Open after `TRIPS_AT` transient failures in a row; after a pause one task is let through, and decides."""

    def __init__(self, clock: Clock, *, trips_at: int = TRIPS_AT) -> None:
        self._clock = clock
        self._trips_at = trips_at
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self._open_until is not None and self._clock.now() < self._open_until

    def succeeded(self) -> None:
        """A task ended as its request deserved: with pictures, or refused for good."""
        if self._open_until is not None:
            log.info("breaker.closed")
        self._failures, self._pause, self._open_until = 0, FIRST_PAUSE, None

    def failed(self) -> None:
        """A task failed although its request was good."""
        self._failures += 1
        if self._failures < self._trips_at:
            return
        self._open_until = self._clock.now() + self._pause
        log.error("breaker.opened", failures=self._failures, pause_s=self._pause.total_seconds())
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
