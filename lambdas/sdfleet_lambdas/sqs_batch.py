"""Messages of queues: one's trouble is not the others', and what is not done stays in its queue.

An event source mapping brings a batch and is told the ids of those to deliver again (Lambda Developer Guide, "Handling
errors for an SQS event source", ReportBatchItemFailures).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdfleet.errors import ServiceUnavailable
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class QueuedMessage:
    message_id: str
    body: str = field(repr=False)
    #: SNS attributes, where the subscription delivers raw.
    attributes: Mapping[str, str]
    #: Name of the queue it came from.
    queue: str
    #: Names this receive of the message, for its queue.
    receipt: str = field(default="", repr=False)
    #: How often it was received, this time included.
    receive_count: int = 1


def handle_each(event: Mapping[str, Any], handle: Callable[[QueuedMessage], bool | None]) -> dict[str, Any]:
    """The answer to the mapping. False leaves a message in the queue."""
    messages = [_read(record) for record in event.get("Records") or ()]
    failed = [message.message_id for message in messages if not is_handled(message, handle)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def is_handled(message: QueuedMessage, handle: Callable[[QueuedMessage], bool | None]) -> bool:
    """Whether the queue may forget it: `handle` did not fail, and did not say False."""
    with logs.bound(message_id=message.message_id, queue=message.queue):
        try:
            return handle(message) is not False
        except ServiceUnavailable as error:
            log.warning("message.postponed", reason=str(error))
            return False
        except Exception:  # the supervisor of all messages: the queue delivers it again
            log.exception("message.failed")
            return False


def _read(record: Mapping[str, Any]) -> QueuedMessage:
    attributes = record.get("messageAttributes") or {}
    system = record.get("attributes") or {}
    return QueuedMessage(
        message_id=str(record["messageId"]),
        body=str(record.get("body") or ""),
        attributes={
            name: str(attribute["stringValue"])
            for name, attribute in attributes.items()
            if attribute.get("stringValue") is not None
        },
        queue=str(record.get("eventSourceARN") or "unknown").rsplit(":", 1)[-1],
        receipt=str(record.get("receiptHandle") or ""),
        receive_count=int(system.get("ApproximateReceiveCount") or 1),
    )
