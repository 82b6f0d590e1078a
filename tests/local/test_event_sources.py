from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet_local.event_sources import VISIBILITY, QueueSource, Schedule

ARN = "arn:aws:sqs:us-east-1:123456789012:local-submissions"
NOW = timedelta(0)


@dataclass
class Bench:
    """A queue, and a handler that remembers its events."""

    answer: Callable[[dict[str, Any]], Any] = field(default=lambda _event: None)
    events: list[dict[str, Any]] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.queue = MemoryTaskQueue(self.clock)
        self.source = QueueSource(self.queue, ARN, "us-east-1", self._handle)

    def _handle(self, event: dict[str, Any], _context: Any) -> Any:
        self.events.append(event)
        return self.answer(event)


def _fail_the_first(event: dict[str, Any]) -> Any:
    return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}


def test_messages_come_as_lambdas_sqs_event() -> None:
    bench = Bench()
    bench.queue.send("hello")
    assert bench.source.poll_once(wait=NOW) == 1
    record = bench.events[0]["Records"][0]
    assert record["body"] == "hello"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", ARN)
    assert {"messageId", "receiptHandle", "messageAttributes", "awsRegion"} <= set(record)


def test_what_succeeded_is_deleted_and_what_failed_comes_again() -> None:
    bench = Bench(_fail_the_first)
    bench.queue.send("one")
    bench.queue.send("two")
    bench.source.poll_once(wait=NOW)
    assert bench.queue.depth() == 1
    bench.clock.advance(VISIBILITY)
    bench.source.poll_once(wait=NOW)
    assert [record["body"] for record in bench.events[1]["Records"]] == ["one"]
    assert bench.events[1]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"


def test_a_handler_that_raises_leaves_the_whole_batch() -> None:
    def raise_(_event: dict[str, Any]) -> Any:
        raise RuntimeError

    bench = Bench(raise_)
    bench.queue.send("one")
    assert bench.source.poll_once(wait=NOW) == 1
    assert bench.queue.depth() == 1


def test_an_answer_that_names_an_unknown_message_leaves_the_whole_batch() -> None:
    bench = Bench(lambda _event: {"batchItemFailures": [{"itemIdentifier": "other"}]})
    bench.queue.send("one")
    bench.source.poll_once(wait=NOW)
    assert bench.queue.depth() == 1


def test_an_empty_queue_invokes_nothing() -> None:
    bench = Bench()
    assert bench.source.poll_once(wait=NOW) == 0
    assert bench.events == []


def test_a_schedule_survives_its_handler() -> None:
    events = []

    def handler(event: dict[str, Any], _context: Any) -> None:
        events.append(event)
        raise RuntimeError

    Schedule("sweeper", timedelta(minutes=1), handler).fire()
    assert events[0]["detail-type"] == "Scheduled Event"
