"""Spot prices of instance types, zone by zone, as the recorder keeps them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

#: What the recorder keeps of the past. EC2 tells of 90 days (API Reference, DescribeSpotPriceHistory).
HISTORY = timedelta(days=30)
#: In the schedule's own words: prices move a few times a day.
RECORD_EVERY = timedelta(hours=1)
#: Of one pool. Six zones of them, written as text, stay below DynamoDB's 400 KB item.
MAX_PRICES = 1000


@dataclass(frozen=True)
class SpotPrice:
    #: Since when it holds.
    since: datetime
    #: USD an hour, with all of EC2's digits.
    usd: Decimal


@dataclass(frozen=True)
class SpotPool:
    """One instance type in one availability zone."""

    instance_type: str
    zone: str
    #: The oldest first, never none. The first one may hold since before `HISTORY`.
    prices: tuple[SpotPrice, ...]

    @property
    def current(self) -> SpotPrice:
        return self.prices[-1]

    @property
    def lowest(self) -> Decimal:
        return min(price.usd for price in self.prices)

    @property
    def highest(self) -> Decimal:
        return max(price.usd for price in self.prices)


def ask_since(known: Iterable[SpotPool], instance_types: Collection[str], *, now: datetime) -> datetime:
    """From when on EC2 has to tell what is not known yet; a type that is new to the fleets has a past as well."""
    newest: dict[str, datetime] = {}
    for pool in known:
        newest[pool.instance_type] = max(newest.get(pool.instance_type, pool.current.since), pool.current.since)
    if not set(instance_types) <= newest.keys():
        return now - HISTORY
    return max(now - HISTORY, min((newest[one] for one in instance_types), default=now))


def merged(known: Iterable[SpotPool], seen: Iterable[SpotPool], *, now: datetime) -> tuple[SpotPool, ...]:
    """Both histories of every pool, changes only, without what was over before `HISTORY`; sorted by type and zone."""
    pools: dict[tuple[str, str], SpotPool] = {}
    for pool in (*known, *seen):
        former = pools.get((pool.instance_type, pool.zone))
        prices = (*former.prices, *pool.prices) if former else pool.prices
        pools[pool.instance_type, pool.zone] = replace(pool, prices=prices)
    return tuple(replace(pools[key], prices=_kept(pools[key].prices, now - HISTORY)) for key in sorted(pools))


def _kept(prices: Iterable[SpotPrice], since: datetime) -> tuple[SpotPrice, ...]:
    changes: list[SpotPrice] = []
    for price in sorted(prices, key=lambda one: one.since):
        if changes and changes[-1].since == price.since:
            changes[-1] = price
        elif not changes or changes[-1].usd != price.usd:
            changes.append(price)
    # The last one before the window held at its beginning.
    first = max((index for index, price in enumerate(changes) if price.since <= since), default=0)
    return tuple(changes[first:][-MAX_PRICES:])
