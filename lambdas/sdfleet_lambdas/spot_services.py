"""What the recorder of Spot prices works with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.spot_market import Ec2SpotMarket
from sdfleet.aws.spot_table import DynamoSpotPrices
from sdfleet.environment import SpotPriceEnvironment
from sdfleet.fleet_ports import SpotMarket, SpotPrices
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_lambdas.building import ONE_AT_A_TIME


@dataclass(frozen=True)
class SpotServices:
    market: SpotMarket
    prices: SpotPrices
    clock: Clock
    instance_types: tuple[str, ...]
    #: Empty: all.
    zones: tuple[str, ...] = ()


def spot_services() -> SpotServices:
    """This process's own, from its environment."""
    with ONE_AT_A_TIME:
        return _spot_services()


@cache
def _spot_services() -> SpotServices:
    environment = SpotPriceEnvironment.from_env(os.environ)
    logs.configure(environment.log_level)
    clients = Clients()
    return SpotServices(
        market=Ec2SpotMarket(clients.ec2),
        prices=DynamoSpotPrices(clients.dynamodb, environment.table_name),
        clock=SystemClock(),
        instance_types=environment.instance_types,
        zones=environment.zones,
    )
