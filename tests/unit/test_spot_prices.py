from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from builders import NOON
from sdfleet.domain.spot import HISTORY, MAX_PRICES, SpotPool, SpotPrice, ask_since, merged
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.spot_prices import MemorySpotMarket, MemorySpotPrices
from sdfleet_lambdas import spot_prices
from sdfleet_lambdas.spot_services import SpotServices

HOUR = timedelta(hours=1)


def a_pool(*prices: tuple[float, str], instance_type: str = "g5.xlarge", zone: str = "us-west-2a") -> SpotPool:
    """Prices by hours before noon."""
    return SpotPool(instance_type, zone, tuple(SpotPrice(NOON - hours * HOUR, Decimal(usd)) for hours, usd in prices))


def test_the_newest_price_is_the_current_one_between_the_lowest_and_the_highest() -> None:
    pool = a_pool((5, "0.40"), (3, "0.31"), (1, "0.35"))
    assert (pool.current.usd, pool.lowest, pool.highest) == (Decimal("0.35"), Decimal("0.31"), Decimal("0.40"))


def test_two_histories_of_a_pool_become_one() -> None:
    (pool,) = merged([a_pool((5, "0.4"), (3, "0.3"))], [a_pool((3, "0.3"), (1, "0.5"))], now=NOON)
    assert pool == a_pool((5, "0.4"), (3, "0.3"), (1, "0.5"))


def test_only_changes_are_kept() -> None:
    (pool,) = merged([], [a_pool((5, "0.4"), (3, "0.4"), (1, "0.5"))], now=NOON)
    assert pool == a_pool((5, "0.4"), (1, "0.5"))


def test_a_price_that_held_at_the_beginning_of_the_window_stays() -> None:
    days = HISTORY / HOUR
    (pool,) = merged([], [a_pool((days + 90, "0.9"), (days + 50, "0.4"), (1, "0.5"))], now=NOON)
    assert pool == a_pool((days + 50, "0.4"), (1, "0.5"))


def test_a_pool_has_so_many_prices_at_most() -> None:
    wild = a_pool(*((index / 10, str(index)) for index in range(MAX_PRICES + 5)))
    (pool,) = merged([], [wild], now=NOON)
    assert len(pool.prices) == MAX_PRICES
    assert pool.current.usd == 0


def test_only_what_is_not_known_yet_is_asked_for() -> None:
    known = [a_pool((9, "1"), (4, "2")), a_pool((7, "1"), zone="us-west-2b")]
    assert ask_since(known, ["g5.xlarge"], now=NOON) == NOON - 4 * HOUR


def test_a_new_type_is_asked_for_from_the_beginning() -> None:
    assert ask_since([a_pool((1, "1"))], ["g5.xlarge", "g6.xlarge"], now=NOON) == NOON - HISTORY
    assert ask_since([], ["g5.xlarge"], now=NOON) == NOON - HISTORY


def a_recorder(market: MemorySpotMarket, *, zones: tuple[str, ...] = ()) -> SpotServices:
    return SpotServices(market, MemorySpotPrices(), FakeClock(NOON), ("g5.xlarge", "g6.xlarge"), zones)


def test_the_recorder_keeps_every_zone_of_the_fleets_types_and_no_others() -> None:
    market = MemorySpotMarket(
        [
            a_pool((5, "0.4")),
            a_pool((5, "0.5"), zone="us-west-2b"),
            a_pool((2, "0.3"), instance_type="g6.xlarge"),
            a_pool((2, "9"), instance_type="p5.48xlarge"),
        ]
    )
    services = a_recorder(market)
    assert spot_prices.handle({}, services) == {"pools": 3}
    assert {(pool.instance_type, pool.zone) for pool in services.prices.load()} == {
        ("g5.xlarge", "us-west-2a"),
        ("g5.xlarge", "us-west-2b"),
        ("g6.xlarge", "us-west-2a"),
    }


def test_a_later_run_adds_what_has_changed() -> None:
    market = MemorySpotMarket([a_pool((5, "0.4")), a_pool((5, "0.2"), instance_type="g6.xlarge")])
    services = a_recorder(market)
    spot_prices.handle({}, services)
    market.pools = [a_pool((5, "0.4"), (1, "0.6")), a_pool((5, "0.2"), instance_type="g6.xlarge")]
    spot_prices.handle({}, services)
    pool = services.prices.load()[0]
    assert pool == a_pool((5, "0.4"), (1, "0.6"))


def test_a_fleet_with_zones_wants_those_alone() -> None:
    market = MemorySpotMarket([a_pool((5, "0.4")), a_pool((5, "0.5"), zone="us-west-2b")])
    services = a_recorder(market, zones=("us-west-2b",))
    spot_prices.handle({}, services)
    assert [pool.zone for pool in services.prices.load()] == ["us-west-2b"]


def test_a_type_that_left_the_fleets_is_forgotten() -> None:
    market = MemorySpotMarket([a_pool((5, "0.4"))])
    services = a_recorder(market)
    services.prices.save([a_pool((5, "1"), instance_type="g4dn.xlarge")], now=NOON)
    spot_prices.handle({}, services)
    assert {pool.instance_type for pool in services.prices.load()} == {"g5.xlarge"}


def test_without_types_nothing_is_asked() -> None:
    services = replace(a_recorder(MemorySpotMarket([a_pool((5, "0.4"))])), instance_types=())
    assert spot_prices.handle({}, services) == {"pools": 0}
