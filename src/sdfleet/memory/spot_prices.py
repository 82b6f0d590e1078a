"""Spot prices in memory: a market that tells what it was told, and what a recorder has kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sdfleet.domain.spot import SpotPool


class MemorySpotMarket:
    def __init__(self, pools: Sequence[SpotPool] = ()) -> None:
        self.pools = list(pools)

    def history(self, instance_types: Sequence[str], *, since: datetime) -> list[SpotPool]:
        told = []
        for pool in self.pools:
            earlier = [price for price in pool.prices if price.since <= since][-1:]
            later = [price for price in pool.prices if price.since > since]
            if pool.instance_type in instance_types and (earlier or later):
                told.append(replace(pool, prices=(*earlier, *later)))
        return told


class MemorySpotPrices:
    def __init__(self) -> None:
        self._pools: list[SpotPool] = []

    def load(self) -> list[SpotPool]:
        return list(self._pools)

    def save(self, pools: Sequence[SpotPool], *, now: datetime) -> None:
        self._pools = list(pools)
