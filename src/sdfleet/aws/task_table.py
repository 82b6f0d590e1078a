"""Task records on DynamoDB: one table for tasks, idempotency keys and the waiting room."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sdfleet.aws.clock import SystemClock
from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_record import (
    DUE_AT,
    DUE_SHARD,
    DUE_SHARDS,
    PARTITION_KEY,
    TTL_ATTRIBUTE,
    Attribute,
    from_item,
    idempotency_record_key,
    sortable,
    task_id_of,
    task_key,
    to_item,
)
from sdfleet.domain.task import RECORD_LIFETIME, Task, TaskStatus
from sdfleet.errors import RecordConflict, ServiceUnavailable
from sdfleet.ports import IDEMPOTENCY_LIFETIME, Clock, IdempotencyRecord, UndispatchedTask, UnfinishedPart

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: The index of tasks that want something done at some time.
DUE_INDEX = "due"

#: New with every write. A conditional write whose answer was lost is repeated by the SDK, and the repetition finds
#: the record changed: by itself, if this says so.
_WRITE_ID = "write_id"

_UNCHANGED = "#run = :run AND #revision = :revision"
#: DynamoDB deletes expired items late; until then they count as absent.
_ABSENT = "attribute_not_exists(#pk) OR #ttl <= :now"
_ABSENT_NAMES = {"#pk": PARTITION_KEY, "#ttl": TTL_ATTRIBUTE}
_SWEEP_KEY = {PARTITION_KEY: {"S": "sweep"}}
_SWEPT_UNTIL = "until"
#: Records of one BatchGetItem (API reference), and how often it is asked for those that it leaves out when throttled.
_BATCH, _BATCH_TRIES = 100, 5
#: Of the text that times are kept as.
_MOMENT = timedelta(microseconds=1)


def table_definition(table_name: str) -> dict[str, Any]:
    """Arguments of `create_table`. Time to live on `TTL_ATTRIBUTE` is another call's to switch on."""
    return {
        "TableName": table_name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": PARTITION_KEY, "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for name in (PARTITION_KEY, DUE_SHARD, DUE_AT)
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": DUE_INDEX,
                "KeySchema": [
                    {"AttributeName": DUE_SHARD, "KeyType": "HASH"},
                    {"AttributeName": DUE_AT, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    }


class DynamoTaskStore:
    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock | None = None) -> None:
        self._client = client
        self._table_name = table_name
        self._clock = clock or SystemClock()

    def load(self, task_id: str) -> Task | None:
        item = self._item(task_key(task_id))
        task = from_item(item) if item else None
        return task if task is not None and self._clock.now() < task.created_at + RECORD_LIFETIME else None

    def create(self, task: Task, *, replacing: Task | None, idempotency_key: str | None = None, now: datetime) -> Task:
        # A new run goes on counting where the old one ended: a write that expects an old revision never fits again.
        written = replace(task, revision=(replacing.revision if replacing else 0) + 1)
        put = self._put(written, _unchanged(replacing) if replacing else _absent(now))
        if idempotency_key is None:
            self._write(put)
            return written
        transaction: Any = [{"Put": put}, {"Put": self._put_key(idempotency_key, task, now)}]
        with translated():
            self._client.transact_write_items(TransactItems=transaction)
        return written

    def save(self, task: Task, *, expecting: Task) -> Task:
        written = replace(task, revision=expecting.revision + 1)
        self._write(self._put(written, _unchanged(expecting)))
        return written

    def idempotency_record(self, key: str, *, now: datetime) -> IdempotencyRecord | None:
        item = self._item(idempotency_record_key(key))
        if item is None or int(item[TTL_ATTRIBUTE]["N"]) <= now.timestamp():
            return None
        return IdempotencyRecord(
            task_id=item["task_id"]["S"], run=item["run"]["S"], fingerprint=item["fingerprint"]["S"]
        )

    def remember_key(self, key: str, task: Task, *, now: datetime) -> None:
        with translated():
            self._client.put_item(**self._put_key(key, task, now))

    def due(self, *, now: datetime, limit: int) -> list[str]:
        found: list[tuple[str, str]] = []
        for shard in DUE_SHARDS:
            with translated():
                answer = self._client.query(
                    TableName=self._table_name,
                    IndexName=DUE_INDEX,
                    KeyConditionExpression="#shard = :shard AND #due <= :now",
                    ExpressionAttributeNames={"#shard": DUE_SHARD, "#due": DUE_AT},
                    ExpressionAttributeValues={":shard": {"S": shard}, ":now": {"S": sortable(now)}},
                    Limit=limit,
                )
            found += [(item[DUE_AT]["S"], task_id_of(item[PARTITION_KEY]["S"])) for item in answer["Items"]]
        return [task_id for _, task_id in sorted(found)[:limit]]

    def undispatched(self, *, after: datetime, until: datetime, limit: int) -> UnfinishedPart:
        found: list[tuple[datetime, str]] = []
        for shard in DUE_SHARDS:
            with translated():
                answer = self._client.query(
                    TableName=self._table_name,
                    IndexName=DUE_INDEX,
                    KeyConditionExpression="#shard = :shard AND #due BETWEEN :after AND :until",
                    ExpressionAttributeNames={"#shard": DUE_SHARD, "#due": DUE_AT},
                    ExpressionAttributeValues={
                        ":shard": {"S": shard},
                        ":after": {"S": sortable(after + _MOMENT)},
                        ":until": {"S": sortable(until)},
                    },
                    Limit=limit // len(DUE_SHARDS) + 1,
                )
            part = [
                (datetime.fromisoformat(item[DUE_AT]["S"]), task_id_of(item[PARTITION_KEY]["S"]))
                for item in answer["Items"]
            ]
            found += part
            if "LastEvaluatedKey" in answer:
                # The other shards may have gone further; what is looked at again by then costs a read.
                until = min(until, part[-1][0])
        found = sorted(one for one in found if one[0] <= until)
        waiting = self._waiting([task_id for _, task_id in found])
        return UnfinishedPart(
            undispatched=tuple(UndispatchedTask(task_id, due) for due, task_id in found if task_id in waiting),
            count=len(found),
            until=until,
        )

    def sweep_mark(self) -> datetime | None:
        with translated():
            item = self._client.get_item(TableName=self._table_name, Key=_SWEEP_KEY).get("Item")
        return datetime.fromisoformat(item[_SWEPT_UNTIL]["S"]) if item else None

    def set_sweep_mark(self, until: datetime) -> None:
        with translated():
            self._client.put_item(TableName=self._table_name, Item={**_SWEEP_KEY, _SWEPT_UNTIL: {"S": sortable(until)}})

    def _waiting(self, task_ids: Sequence[str]) -> set[str]:
        """Those that are queued and were never dispatched. Half the price of consistent reads: who is wrongly taken for
        one of them is read again before anything is done."""
        waiting: set[str] = set()
        for start in range(0, len(task_ids), _BATCH):
            asked: Any = {
                self._table_name: {
                    "Keys": [{PARTITION_KEY: {"S": task_key(one)}} for one in task_ids[start:][:_BATCH]],
                    "ProjectionExpression": "#pk, #status, dispatched_at",
                    "ExpressionAttributeNames": {"#pk": PARTITION_KEY, "#status": "status"},
                }
            }
            for _ in range(_BATCH_TRIES):
                with translated():
                    answer = self._client.batch_get_item(RequestItems=asked)
                waiting.update(
                    task_id_of(item[PARTITION_KEY]["S"])
                    for item in answer["Responses"].get(self._table_name, ())
                    if "dispatched_at" not in item and item["status"]["S"] == TaskStatus.QUEUED
                )
                asked = answer.get("UnprocessedKeys")
                if not asked:
                    break
            else:
                raise ServiceUnavailable("DynamoDB leaves records out of its answers; try again.")
        return waiting

    def _item(self, key: str) -> Mapping[str, Any] | None:
        with translated():
            answer = self._client.get_item(
                TableName=self._table_name, Key={PARTITION_KEY: {"S": key}}, ConsistentRead=True
            )
        return answer.get("Item")

    def _put(self, task: Task, condition: dict[str, Any]) -> dict[str, Any]:
        item = {**to_item(task), _WRITE_ID: {"S": secrets.token_hex(8)}}
        return {"TableName": self._table_name, "Item": item, **condition}

    def _put_key(self, key: str, task: Task, now: datetime) -> dict[str, Any]:
        item: dict[str, Attribute] = {
            PARTITION_KEY: {"S": idempotency_record_key(key)},
            TTL_ATTRIBUTE: {"N": str(int((now + IDEMPOTENCY_LIFETIME).timestamp()))},
            "task_id": {"S": task.id},
            "run": {"S": task.run},
            "fingerprint": {"S": task.fingerprint},
        }
        return {"TableName": self._table_name, "Item": item, **_absent(now)}

    def _write(self, put: dict[str, Any]) -> None:
        try:
            with translated():
                self._client.put_item(**put, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except RecordConflict as conflict:
            stored = getattr(conflict.__cause__, "response", {}).get("Item", {})
            if stored.get(_WRITE_ID) != put["Item"][_WRITE_ID]:
                raise


def _absent(now: datetime) -> dict[str, Any]:
    return {
        "ConditionExpression": _ABSENT,
        "ExpressionAttributeNames": _ABSENT_NAMES,
        "ExpressionAttributeValues": {":now": {"N": str(now.timestamp())}},
    }


def _unchanged(task: Task) -> dict[str, Any]:
    return {
        "ConditionExpression": _UNCHANGED,
        "ExpressionAttributeNames": {"#run": "run", "#revision": "revision"},
        "ExpressionAttributeValues": {":run": {"S": task.run}, ":revision": {"N": str(task.revision)}},
    }
