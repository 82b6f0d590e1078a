"""Places for requests that wait, in one DynamoDB item: a map from token to the end of its stay."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sdfleet.aws.error_mapping import translated
from sdfleet.errors import RecordConflict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = {"pk": {"S": "waiting"}}


class DynamoWaitingRoom:
    def __init__(self, client: DynamoDBClient, table_name: str, cap: int) -> None:
        self._client = client
        self._table_name = table_name
        self._cap = cap

    def enter(self, token: str, *, now: datetime, until: datetime) -> bool:
        # A request that was killed never leaves; whoever finds the room full clears such places away.
        return self._take(token, until) or (self._make_room(now) and self._take(token, until))

    def leave(self, token: str) -> None:
        with suppress(RecordConflict):
            self._update("REMOVE places.#token", "attribute_exists(places)", names={"#token": token})

    def _take(self, token: str, until: datetime) -> bool:
        try:
            self._update(
                "SET places.#token = :until",
                "attribute_exists(places) AND (attribute_exists(places.#token) OR size(places) < :cap)",
                names={"#token": token},
                values={":until": {"N": str(until.timestamp())}, ":cap": {"N": str(self._cap)}},
            )
        except RecordConflict:
            return False
        return True

    def _make_room(self, now: datetime) -> bool:
        """Whether another try is worth it."""
        with translated():
            answer = self._client.get_item(TableName=self._table_name, Key=_KEY, ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            # Somebody else may build it at this moment.
            with suppress(RecordConflict), translated():
                self._client.put_item(
                    TableName=self._table_name,
                    Item={**_KEY, "places": {"M": {}}},
                    ConditionExpression="attribute_not_exists(pk)",
                )
            return True
        places = item["places"]["M"]
        expired = [token for token, until in places.items() if float(until["N"]) <= now.timestamp()]
        if expired:
            gone = {f"#t{number}": token for number, token in enumerate(expired)}
            self._update(
                "REMOVE " + ", ".join(f"places.{name}" for name in gone), "attribute_exists(places)", names=gone
            )
        return len(places) - len(expired) < self._cap

    def _update(
        self, expression: str, condition: str, *, names: dict[str, str], values: dict[str, Any] | None = None
    ) -> None:
        arguments: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        with translated():
            self._client.update_item(
                TableName=self._table_name,
                Key=_KEY,
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                **arguments,
            )
