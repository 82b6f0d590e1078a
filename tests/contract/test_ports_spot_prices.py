"""SpotPrices, in memory and on DynamoDB; the market and the command on the embedded endpoint."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from builders import NOON
from sdfleet.aws.clients import Clients
from sdfleet.aws.spot_market import Ec2SpotMarket
from sdfleet.aws.spot_table import DynamoSpotPrices
from sdfleet.aws.task_table import table_definition
from sdfleet.domain import names
from sdfleet.domain.spot import SpotPool, SpotPrice
from sdfleet.fleet_ports import SpotPrices
from sdfleet_cli.main import main

POOLS = [
    SpotPool("g5.xlarge", "us-east-1a", (SpotPrice(NOON, Decimal("0.4000")), SpotPrice(NOON, Decimal("0.35")))),
    SpotPool("g5.xlarge", "us-east-1b", (SpotPrice(NOON - timedelta(days=3), Decimal("0.503")),)),
    SpotPool("zz.large", "us-east-1a", (SpotPrice(NOON, Decimal("0.1")),)),
]


def test_before_the_first_run_there_is_nothing(spot_prices: SpotPrices) -> None:
    assert spot_prices.load() == []


def test_prices_are_read_as_they_were_kept(spot_prices: SpotPrices) -> None:
    spot_prices.save(POOLS, now=NOON)
    assert spot_prices.load() == POOLS


def test_the_next_run_stands_in_the_place_of_the_former(spot_prices: SpotPrices) -> None:
    spot_prices.save(POOLS, now=NOON)
    spot_prices.save(POOLS[2:], now=NOON)
    assert spot_prices.load() == POOLS[2:]


def test_ec2_tells_the_price_of_a_type_in_every_zone(clients: Clients) -> None:
    pools = Ec2SpotMarket(clients.ec2).history(["g5.xlarge", "g4dn.xlarge"], since=NOON)
    assert {pool.instance_type for pool in pools} == {"g5.xlarge", "g4dn.xlarge"}
    assert len({pool.zone for pool in pools}) > 1
    assert all(pool.current.usd > 0 and pool.current.since.tzinfo for pool in pools)


@pytest.fixture
def recorded(clients: Clients, endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A deployment whose recorder has run."""
    deployment_id = f"priced-{uuid.uuid4().hex}"
    clients.dynamodb.create_table(**table_definition(names.table_name(deployment_id)))
    DynamoSpotPrices(clients.dynamodb, names.table_name(deployment_id)).save(POOLS, now=NOON)
    for name, value in (
        ("SDFLEET_ROOT", str(tmp_path)), ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    return deployment_id


def test_the_command_shows_now_lowest_highest_and_on_demand(recorded: str) -> None:
    result = CliRunner().invoke(main, ["spot", recorded, "-R", "us-east-1"])
    assert result.exit_code == 0, result.output
    head, first, second, third, source = result.output.splitlines()
    assert head.split()[:5] == ["type", "zone", "USD/h", "lowest", "highest"]
    assert first.split()[:5] == ["g5.xlarge", "us-east-1a", "0.3500", "0.3500", "0.4000"]
    assert first.split()[-2:] == ["1.0060", "65%"]
    assert second.split()[1] == "us-east-1b"
    assert third.split()[-2:] == ["-", "-"]
    assert "price list of" in source


def test_the_command_prints_json(recorded: str) -> None:
    result = CliRunner().invoke(main, ["spot", recorded, "-R", "us-east-1", "--json"])
    first = json.loads(result.output)[0]
    assert first["usd_per_hour"] == 0.35
    assert first["on_demand_usd"] == 1.006
    assert first["since"] == NOON.isoformat()


def test_a_deployment_that_is_not_there_is_a_line_that_says_so(recorded: str) -> None:
    result = CliRunner().invoke(main, ["spot", "elsewhere", "-R", "us-east-1"])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
