"""Boots in the deployment's table: one item for a fleet and release. boot_files/give-up.sh writes the same item, for an
instance whose scheduler never came.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_record import PARTITION_KEY, TTL_ATTRIBUTE
from sdfleet.domain import names
from sdfleet.domain.boot_record import LIFETIME, BootRecord
from sdfleet.errors import RecordConflict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoBootRecords:
    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def load(self, runtime: str, release: str) -> BootRecord:
        with translated():
            answer = self._client.get_item(TableName=self._table_name, Key=_key(runtime, release), ConsistentRead=True)
        item = answer.get("Item", {})
        failed_at = _text(item, "failed_at")
        return BootRecord(
            failures_in_a_row=int(item["failures"]["N"]) if "failures" in item else 0,
            failed_at=datetime.fromisoformat(failed_at) if failed_at else None,
            reason=_text(item, "reason"),
            instance_id=_text(item, "instance_id"),
            boot_s=float(item["boot_s"]["N"]) if "boot_s" in item else None,
        )

    def failed(self, runtime: str, release: str, *, instance_id: str, reason: str, now: datetime) -> None:
        try:
            self._update(
                runtime,
                release,
                "SET failed_at = :at, reason = :reason, instance_id = :instance, #ttl = :ttl ADD failures :one",
                {
                    ":at": {"S": now.isoformat()},
                    ":reason": {"S": reason},
                    ":instance": {"S": instance_id},
                    ":one": {"N": "1"},
                },
                now,
                ConditionExpression="attribute_not_exists(instance_id) OR instance_id <> :instance",
            )
        except RecordConflict:
            # Counted before.
            return

    def completed(self, runtime: str, release: str, *, boot_s: float, now: datetime) -> None:
        values = {":none": {"N": "0"}, ":boot_s": {"N": f"{boot_s:.3f}"}}
        self._update(runtime, release, "SET failures = :none, boot_s = :boot_s, #ttl = :ttl", values, now)

    def _update(
        self, runtime: str, release: str, expression: str, values: dict[str, Any], now: datetime, **further: Any
    ) -> None:
        lifetime = {"N": str(int((now + LIFETIME).timestamp()))}
        with translated():
            self._client.update_item(
                TableName=self._table_name,
                Key=_key(runtime, release),
                UpdateExpression=expression,
                ExpressionAttributeNames={"#ttl": TTL_ATTRIBUTE},
                ExpressionAttributeValues={**values, ":ttl": lifetime},
                **further,
            )


def _key(runtime: str, release: str) -> dict[str, Any]:
    return {PARTITION_KEY: {"S": names.boots_key(runtime, release)}}


def _text(item: Any, name: str) -> str | None:
    return str(item[name]["S"]) if name in item else None
