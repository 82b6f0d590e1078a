"""SQS event source mappings: a batch of messages in, the ids of those to deliver again out.

Source: Lambda Developer Guide, "Handling errors for an SQS event source" (ReportBatchItemFailures).
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
    """The answer to the mapping. One message's trouble is not the others'; False leaves a message in the queue."""
    failed = []
    for record in event.get("Records") or ():
        message = _read(record)
        with logs.bound(message_id=message.message_id, queue=message.queue):
            if not _is_handled(message, handle):
                failed.append({"itemIdentifier": message.message_id})
    return {"batchItemFailures": failed}


def _is_handled(message: QueuedMessage, handle: Callable[[QueuedMessage], bool | None]) -> bool:
    try:
        return handle(message) is not False
    except ServiceUnavailable as error:
        log.warning("message.postponed", reason=str(error))
        return False
    except Exception:  # the supervisor of all messages: the queue delivers it again, then dead-letters it
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
