"""Runs every hour and keeps what Spot costs, for the types of the fleets, zone by zone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdfleet.domain import spot
from sdfleet.telemetry import logs
from sdfleet_lambdas.spot_services import SpotServices, spot_services

log = logs.get_logger(__name__)


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, int]:
    """Lambda's entry point: a schedule."""
    return handle(event, spot_services())


def handle(_event: Mapping[str, Any], services: SpotServices) -> dict[str, int]:
    """How many pools are known. The hours that a run missed come with the next one.

    Raises:
        ServiceUnavailable: the next run tries again.
    """
    now = services.clock.now()
    types = services.instance_types
    if not types:
        # EC2 takes none for all of them, and there are a thousand.
        return {"pools": 0}
    known = [pool for pool in services.prices.load() if pool.instance_type in types]
    seen = services.market.history(types, since=spot.ask_since(known, types, now=now))
    pools = spot.merged(known, [pool for pool in seen if pool.zone in services.zones or not services.zones], now=now)
    services.prices.save(pools, now=now)
    log.info("spot_prices.recorded", pools=len(pools), types=len(types))
    return {"pools": len(pools)}
