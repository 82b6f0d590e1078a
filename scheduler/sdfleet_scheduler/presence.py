"""Tells once a minute that this instance is there, and how it is paid for: summed over a minute, the fleet's size.

And that its runtime has been away for too long, if it has: what a rollout is watched by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from sdfleet.domain import names
from sdfleet.errors import ServiceUnavailable
from sdfleet.ports import Clock
from sdfleet.telemetry import metrics
from sdfleet_scheduler import metadata
from sdfleet_scheduler.metadata import InstanceMetadata

#: The resolution of the dashboard, whose cost reckons with instance minutes.
INTERVAL = timedelta(minutes=1)
_METRICS = {"spot": names.SPOT_INSTANCES, "on-demand": names.ON_DEMAND_INSTANCES}


class Presence:
    def __init__(
        self,
        service: InstanceMetadata,
        group_name: str,
        clock: Clock,
        *,
        release: str,
        is_well: Callable[[], bool],
        patience: timedelta,
    ) -> None:
        """`is_well`: whether the runtime is ready, or nothing is wrong with it; away for `patience` is too long."""
        self._service = service
        self._group_name = group_name
        self._clock = clock
        self._release = release
        self._is_well = is_well
        self._patience = patience
        self._well_at: datetime = clock.now()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            self.look()
            await asyncio.sleep(INTERVAL.total_seconds())

    async def tell(self) -> None:
        """Nothing, where the metadata service does not know how the instance is paid for: it is no EC2 instance."""
        try:
            life_cycle = await self._service.read(metadata.LIFE_CYCLE)
        except ServiceUnavailable:
            return
        if life_cycle in _METRICS:
            metrics.count(_METRICS[life_cycle], self._fleet)

    def look(self) -> None:
        """Count this instance if its runtime has been away for too long."""
        now = self._clock.now()
        if self._is_well():
            self._well_at = now
        elif now - self._well_at >= self._patience:
            metrics.count(names.INSTANCES_UNREADY, self._fleet, also_by={names.RELEASE_DIMENSION: self._release})

    @property
    def _fleet(self) -> dict[str, str]:
        return {names.FLEET_DIMENSION: self._group_name}
