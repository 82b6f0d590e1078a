"""A fleet's queue on SQS."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated
from sdfleet.errors import LeaseLost
from sdfleet.ports import QueueCounts, QueueMessage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageRequestTypeDef


class SqsTaskQueue:
    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def receive(self, *, max_messages: int, wait: timedelta, visibility: timedelta) -> list[QueueMessage]:
        with translated():
            answer = self._client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=max_messages,
                WaitTimeSeconds=_whole_seconds(wait),
                VisibilityTimeout=_whole_seconds(visibility),
                MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
            )
        return [
            QueueMessage(
                message_id=message["MessageId"],
                receipt=message["ReceiptHandle"],
                body=message["Body"],
                receive_count=int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
                group=message.get("Attributes", {}).get("MessageGroupId"),
            )
            for message in answer.get("Messages", [])
        ]

    def extend(self, receipt: str, by: timedelta) -> None:
        with translated():
            self._client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=receipt, VisibilityTimeout=_whole_seconds(by)
            )

    def delete(self, receipt: str) -> None:
        with suppress(LeaseLost), translated():
            self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=receipt)

    def send(self, body: str, *, group: str | None = None) -> None:
        call: SendMessageRequestTypeDef = {"QueueUrl": self._queue_url, "MessageBody": body}
        if group is not None:
            # On a standard queue it makes the queue fair and orders nothing (API Reference, SendMessage) [V].
            call["MessageGroupId"] = group
        with translated():
            self._client.send_message(**call)

    def depth(self) -> int:
        counts = self.counts()
        return counts.visible + counts.in_flight

    def counts(self) -> QueueCounts:
        with translated():
            answer = self._client.get_queue_attributes(
                QueueUrl=self._queue_url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )
        found = answer["Attributes"]
        return QueueCounts(
            visible=int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesDelayed"]),
            in_flight=int(found["ApproximateNumberOfMessagesNotVisible"]),
        )


def _whole_seconds(duration: timedelta) -> int:
    # SQS takes whole seconds. Up: a lease a second too long is harmless, one too short is not.
    return math.ceil(duration.total_seconds())
