"""Spot prices in the deployment's table: one item a type with all its zones, and one that lists the types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_record import PARTITION_KEY, TTL_ATTRIBUTE
from sdfleet.domain import names
from sdfleet.domain.spot import HISTORY, SpotPool, SpotPrice

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: Prices that nobody has written for so long are of types that the fleets have no more.
_LIFETIME = HISTORY + timedelta(days=7)


class DynamoSpotPrices:
    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def load(self) -> list[SpotPool]:
        listed = self._item(names.SPOT_TYPES_KEY)
        types: list[str] = json.loads(listed["types"]["S"]) if listed else []
        return [pool for instance_type in types for pool in self._pools(instance_type)]

    def save(self, pools: Sequence[SpotPool], *, now: datetime) -> None:
        lifetime = {"N": str(int((now + _LIFETIME).timestamp()))}
        types = []
        for instance_type, of_type in groupby(pools, key=lambda pool: pool.instance_type):
            types.append(instance_type)
            zones = {pool.zone: [[one.since.isoformat(), str(one.usd)] for one in pool.prices] for pool in of_type}
            self._put(names.spot_prices_key(instance_type), "zones", zones, lifetime)
        self._put(names.SPOT_TYPES_KEY, "types", types, lifetime)

    def _pools(self, instance_type: str) -> list[SpotPool]:
        item = self._item(names.spot_prices_key(instance_type))
        zones = json.loads(item["zones"]["S"]) if item else {}
        return [
            SpotPool(
                instance_type,
                zone,
                tuple(SpotPrice(datetime.fromisoformat(since), Decimal(usd)) for since, usd in prices),
            )
            for zone, prices in zones.items()
        ]

    def _item(self, key: str) -> dict[str, Any] | None:
        with translated():
            answer = self._client.get_item(
                TableName=self._table_name, Key={PARTITION_KEY: {"S": key}}, ConsistentRead=True
            )
        return answer.get("Item")

    def _put(self, key: str, name: str, value: Any, lifetime: dict[str, str]) -> None:
        with translated():
            self._client.put_item(
                TableName=self._table_name,
                Item={
                    PARTITION_KEY: {"S": key},
                    TTL_ATTRIBUTE: lifetime,
                    name: {"S": json.dumps(value, separators=(",", ":"))},
                },
            )
