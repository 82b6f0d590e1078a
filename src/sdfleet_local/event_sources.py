"""What invokes a Lambda function besides the API: event source mappings of SQS queues, and schedules.

Shapes and rules: Lambda Developer Guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event
source" (partial batch responses).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sdfleet.errors import LeaseLost, SdfleetError
from sdfleet.ports import QueueMessage, TaskQueue
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

Handler = Callable[[dict[str, Any], Any], Any]

#: The mapping's default batch.
BATCH_SIZE = 10
#: The longest poll that SQS knows.
LONG_POLL = timedelta(seconds=20)
#: A handler that failed sees the message again after this: long enough not to spin, short enough to watch.
VISIBILITY = timedelta(seconds=60)
#: After a failed call to the endpoint: it is starting, stopping or overloaded.
PAUSE_S = 1.0


@dataclass(frozen=True)
class QueueSource:
    """One event source mapping."""

    queue: TaskQueue
    queue_arn: str
    region: str
    handler: Handler

    def poll_once(self, *, wait: timedelta = LONG_POLL) -> int:
        """Receive, invoke, delete what the handler did not report as failed; how many messages came.

        Raises:
            SdfleetError: the queue does not answer.
        """
        messages = self.queue.receive(max_messages=BATCH_SIZE, wait=wait, visibility=VISIBILITY)
        if not messages:
            return 0
        try:
            answer = self.handler(self._event(messages), _context())
        except Exception:  # the supervisor of the handlers
            log.exception("handler.failed", queue=self.queue_arn, messages=len(messages))
            return len(messages)
        failed = _failed_ids(answer, messages)
        for message in messages:
            if message.message_id not in failed:
                self._delete(message)
        return len(messages)

    def _delete(self, message: QueueMessage) -> None:
        try:
            self.queue.delete(message.receipt)
        except LeaseLost:
            log.warning("message.delete_refused", queue=self.queue_arn, message_id=message.message_id)

    def _event(self, messages: list[QueueMessage]) -> dict[str, Any]:
        return {
            "Records": [
                {
                    "messageId": message.message_id,
                    "receiptHandle": message.receipt,
                    "body": message.body,
                    "attributes": {"ApproximateReceiveCount": str(message.receive_count)},
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": self.queue_arn,
                    "awsRegion": self.region,
                }
                for message in messages
            ]
        }


def _failed_ids(answer: Any, messages: list[QueueMessage]) -> set[str]:
    """Ids to leave in the queue. An answer that names an unknown id means the whole batch, as for Lambda."""
    known = {message.message_id for message in messages}
    failures = (answer or {}).get("batchItemFailures") or []
    named = {str(failure.get("itemIdentifier", "")) for failure in failures}
    has_unknown = bool(named - known)
    return known if has_unknown else named


@dataclass(frozen=True)
class Schedule:
    """An EventBridge rule."""

    name: str
    every: timedelta
    handler: Handler
    #: None: `every`.
    first_after: timedelta | None = None

    def fire(self) -> None:
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "detail": {},
        }
        try:
            self.handler(event, _context())
        except Exception:  # the supervisor of the handlers
            log.exception("handler.failed", schedule=self.name)


class EventSources:
    """Runs mappings and schedules, a thread each, until it is stopped."""

    def __init__(self, queues: list[QueueSource], schedules: list[Schedule]) -> None:
        self._queues = queues
        self._schedules = schedules
        self._stopping = threading.Event()

    def start(self) -> None:
        for source in self._queues:
            threading.Thread(target=self._poll, args=(source,), name=source.queue_arn, daemon=True).start()
        for schedule in self._schedules:
            threading.Thread(target=self._repeat, args=(schedule,), name=schedule.name, daemon=True).start()

    def stop(self) -> None:
        """No new invocation from here on; the threads end with the process."""
        self._stopping.set()

    def _poll(self, source: QueueSource) -> None:
        while not self._stopping.is_set():
            try:
                source.poll_once()
            except SdfleetError:
                log.warning("queue.unavailable", queue=source.queue_arn)
                self._stopping.wait(PAUSE_S)

    def _repeat(self, schedule: Schedule) -> None:
        pause = schedule.first_after or schedule.every
        while not self._stopping.wait(pause.total_seconds()):
            schedule.fire()
            pause = schedule.every


def _context() -> Any:
    return SimpleNamespace(aws_request_id=str(uuid.uuid4()), function_name="local")
