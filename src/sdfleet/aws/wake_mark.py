"""The mark by which a task that is handed in wakes the fast scaler: all that request handlers need of its memory."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_record import PARTITION_KEY
from sdfleet.domain import names
from sdfleet.domain.wake import AWAKE_GRACE
from sdfleet.errors import RecordConflict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoWakeMark:
    """`awake_until` and `called_at` stand beside the rest of the fleet's item: one conditional write, nothing read."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def wake(self, runtime: str, *, now: datetime) -> bool:
        try:
            with translated():
                self._client.update_item(
                    TableName=self._table_name,
                    Key=scaler_item_key(runtime),
                    UpdateExpression="SET called_at = :now, awake_until = :until ADD revision :one",
                    ConditionExpression="attribute_not_exists(awake_until) OR awake_until <= :now",
                    ExpressionAttributeValues={
                        ":now": moment_number(now),
                        ":until": moment_number(now + AWAKE_GRACE),
                        ":one": {"N": "1"},
                    },
                )
        except RecordConflict:
            return False
        return True


def scaler_item_key(runtime: str) -> dict[str, Any]:
    return {PARTITION_KEY: {"S": names.scaler_key(runtime)}}


def moment_number(moment: datetime) -> dict[str, str]:
    return {"N": f"{moment.timestamp():.6f}"}
