"""Spot prices as EC2 tells them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated
from sdfleet.domain.spot import SpotPool, SpotPrice

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

#: Our instances run Linux; the other products have other prices.
_PRODUCT = "Linux/UNIX"


class Ec2SpotMarket:
    def __init__(self, client: EC2Client) -> None:
        self._client = client

    def history(self, instance_types: Sequence[str], *, since: datetime) -> list[SpotPool]:
        prices: dict[tuple[str, str], list[SpotPrice]] = defaultdict(list)
        pages = self._client.get_paginator("describe_spot_price_history")
        with translated():
            for page in pages.paginate(
                # EC2 answers with what held at that time too, however old it is (API Reference, StartTime).
                InstanceTypes=list(instance_types),  # type: ignore[arg-type]
                ProductDescriptions=[_PRODUCT],
                StartTime=since,
            ):
                for entry in page["SpotPriceHistory"]:
                    price = SpotPrice(entry["Timestamp"], Decimal(entry["SpotPrice"]))
                    prices[entry["InstanceType"], entry["AvailabilityZone"]].append(price)
        return [SpotPool(*pool, tuple(sorted(found, key=lambda one: one.since))) for pool, found in prices.items()]
