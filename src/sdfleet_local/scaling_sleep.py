"""A group that sleeps while its queue is empty: the fast scaler's decisions, by `sdfleet.domain.scaling`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sdfleet.domain import scaling
from sdfleet.errors import SdfleetError
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

#: How often a sleeping group looks at its queue: the fast scaler's seconds.
DEPTH_INTERVAL = timedelta(seconds=1)


class Sleeper:
    def __init__(self, group: str, depth: Callable[[], int], *, sleep_after: timedelta, now: datetime) -> None:
        self._group = group
        self._depth = depth
        self._sleep_after = sleep_after
        self._next_depth_at = now
        self._busy_at = now

    def desired(self, limits: scaling.Limits, *, capacity: int, now: datetime) -> int:
        """What the capacity should be; `capacity` as long as nothing speaks against it."""
        if now < self._next_depth_at:
            return capacity
        self._next_depth_at = now + DEPTH_INTERVAL
        try:
            depth = self._depth()
        except SdfleetError:
            log.warning("depth.unknown", group=self._group)
            return capacity
        if depth:
            self._busy_at = now
        # Counted as waiting, those in flight too: whose instance was taken away comes back to the queue.
        if scaling.wakes(capacity=capacity, visible=depth):
            desired = scaling.WAKE_CAPACITY
        else:
            desired = scaling.stepped_down(
                limits,
                capacity=capacity,
                visible=depth,
                in_flight=0,
                empty_for=now - self._busy_at,
                idle_after=self._sleep_after,
            )
        if desired != capacity:
            log.info("group.scaled", group=self._group, desired=desired, depth=depth)
        return desired
