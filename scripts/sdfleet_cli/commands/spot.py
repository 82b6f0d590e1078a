"""`sdfleet spot`: what Spot costs now, and what it has cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from sdfleet.aws.operator_errors import explained
from sdfleet.aws.spot_table import DynamoSpotPrices
from sdfleet.config.prices import InstancePrice, read_prices
from sdfleet.domain import names
from sdfleet.domain.spot import SpotPool
from sdfleet_cli.console import HELP_NAMES, plain_errors, table
from sdfleet_cli.reach import reach

_COLUMNS = ("type", "zone", "USD/h", "lowest", "highest", "since", "On-Demand", "saves")


@click.command(context_settings=HELP_NAMES)
@click.argument("deployment_id", required=False)
@click.option("-R", "--region", help="The deployment's region.  [default: the configuration's]")
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array.")
def spot(deployment_id: str | None, region: str | None, is_json: bool) -> None:
    """Show the Spot prices of the fleets' instance types in each zone, with the lowest and the highest of 30 days.

    Without DEPLOYMENT_ID: of the deployment on this machine if it runs, else of the configuration's.
    """
    with plain_errors(), explained():
        reached = reach(deployment_id, region)
        pools = DynamoSpotPrices(reached.clients.dynamodb, names.table_name(reached.deployment_id)).load()
        prices = read_prices()
    on_demand = prices.instances if reached.clients.region in prices.regions else {}
    cheapest_first = sorted(pools, key=lambda pool: (pool.instance_type, pool.current.usd, pool.zone))
    if is_json:
        click.echo(json.dumps([_object(pool, on_demand) for pool in cheapest_first], indent=2))
        return
    if not pools:
        click.echo("There are no prices yet: the recorder keeps them once an hour.")
        return
    now = datetime.now(UTC)
    click.echo(table([list(_COLUMNS), *(_row(pool, on_demand, now) for pool in cheapest_first)]))
    if on_demand:
        click.echo(f"On-Demand: the price list of {prices.as_of} that `sdfleet cost` reads.")


def _object(pool: SpotPool, on_demand: Mapping[str, InstancePrice]) -> dict[str, Any]:
    listed = on_demand.get(pool.instance_type)
    return {
        "instance_type": pool.instance_type,
        "zone": pool.zone,
        "usd_per_hour": float(pool.current.usd),
        "since": pool.current.since.isoformat(),
        "lowest_usd": float(pool.lowest),
        "highest_usd": float(pool.highest),
        "recorded_from": pool.prices[0].since.isoformat(),
        "on_demand_usd": listed.on_demand if listed else None,
    }


def _row(pool: SpotPool, on_demand: Mapping[str, InstancePrice], now: datetime) -> list[str]:
    listed = on_demand.get(pool.instance_type)
    days, left = divmod(int((now - pool.current.since).total_seconds()), 86_400)
    return [
        pool.instance_type,
        pool.zone,
        f"{pool.current.usd:.4f}",
        f"{pool.lowest:.4f}",
        f"{pool.highest:.4f}",
        f"{days} d" if days else f"{left // 3600} h",
        f"{listed.on_demand:.4f}" if listed else "-",
        f"{1 - float(pool.current.usd) / listed.on_demand:.0%}" if listed else "-",
    ]
