"""Tells once a minute that this instance is there, and how it is paid for: summed over a minute, the fleet's size."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sdfleet.domain import names
from sdfleet.errors import ServiceUnavailable
from sdfleet.telemetry import metrics
from sdfleet_scheduler import metadata
from sdfleet_scheduler.metadata import InstanceMetadata

#: The resolution of the dashboard, whose cost reckons with instance minutes.
INTERVAL = timedelta(minutes=1)
_METRICS = {"spot": names.SPOT_INSTANCES, "on-demand": names.ON_DEMAND_INSTANCES}


class Presence:
    def __init__(self, service: InstanceMetadata, group_name: str) -> None:
        self._service = service
        self._group_name = group_name

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(INTERVAL.total_seconds())

    async def tell(self) -> None:
        """Nothing, where the metadata service does not know how the instance is paid for: it is no EC2 instance."""
        try:
            life_cycle = await self._service.read(metadata.LIFE_CYCLE)
        except ServiceUnavailable:
            return
        if life_cycle in _METRICS:
            metrics.count(_METRICS[life_cycle], {names.FLEET_DIMENSION: self._group_name})
