"""Small contents, each an item of the table beside its task's record; DynamoDB deletes both by their time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sdfleet.aws.clock import SystemClock
from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_record import PARTITION_KEY, TTL_ATTRIBUTE
from sdfleet.domain import names
from sdfleet.errors import ObjectNotFound
from sdfleet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONTENT = "content"


class DynamoContentItems:
    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock | None = None) -> None:
        self._client = client
        self._table_name = table_name
        self._clock = clock or SystemClock()

    def put(self, task_id: str, run: str, packed: bytes, *, until: datetime) -> None:
        with translated():
            self._client.put_item(
                TableName=self._table_name,
                Item={
                    PARTITION_KEY: {"S": names.content_key(task_id, run)},
                    TTL_ATTRIBUTE: {"N": str(int(until.timestamp()))},
                    _CONTENT: {"B": packed},
                },
            )

    def get(self, task_id: str, run: str) -> bytes:
        with translated():
            answer = self._client.get_item(
                TableName=self._table_name,
                Key={PARTITION_KEY: {"S": names.content_key(task_id, run)}},
                ConsistentRead=True,
            )
        item = answer.get("Item")
        # DynamoDB deletes expired items late; until then they count as absent.
        if item is None or int(item[TTL_ATTRIBUTE]["N"]) <= self._clock.now().timestamp():
            raise ObjectNotFound("The task's content is no longer in the table.")
        return item[_CONTENT]["B"]
