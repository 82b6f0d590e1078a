"""Rollouts in the deployment's table: one item a fleet. The parameters in SSM are made of it, never read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_record import PARTITION_KEY
from sdfleet.domain import names
from sdfleet.domain.rollout_record import RolloutHistory, from_json, to_json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRollouts:
    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def load(self, runtime: str) -> RolloutHistory:
        with translated():
            answer = self._client.get_item(
                TableName=self._table_name, Key={PARTITION_KEY: {"S": names.rollouts_key(runtime)}}, ConsistentRead=True
            )
        item = answer.get("Item")
        if item is None:
            return RolloutHistory()
        current, *past = (from_json(one) for one in json.loads(item["rollouts"]["S"]))
        return RolloutHistory(current, tuple(past), int(item["revision"]["N"]))

    def save(self, runtime: str, history: RolloutHistory) -> None:
        rollouts = [to_json(one) for one in (history.current, *history.past) if one is not None]
        with translated():
            self._client.put_item(
                TableName=self._table_name,
                Item={
                    PARTITION_KEY: {"S": names.rollouts_key(runtime)},
                    "rollouts": {"S": json.dumps(rollouts, separators=(",", ":"))},
                    "revision": {"N": str(history.revision + 1)},
                },
                ConditionExpression="attribute_not_exists(#revision) OR #revision = :revision",
                ExpressionAttributeNames={"#revision": "revision"},
                ExpressionAttributeValues={":revision": {"N": str(history.revision)}},
            )
