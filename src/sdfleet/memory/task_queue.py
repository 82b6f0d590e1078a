"""A queue with visibility timeouts, receipts, receive counts and a dead-letter target, as SQS has them."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdfleet.errors import LeaseLost
from sdfleet.ports import Clock, QueueCounts, QueueMessage

#: A waiting receive looks again this often: a fake clock that was moved tells nobody.
_POLL_S = 0.005
#: SQS keeps one receive invisible this long in all (API Reference, ChangeMessageVisibility).
_LONGEST_LEASE = timedelta(hours=12)


@dataclass
class _Entry:
    message_id: str
    body: str
    visible_at: datetime
    group: str | None = None
    receipt: str | None = None
    received_at: datetime | None = None
    receive_count: int = 0


class MemoryTaskQueue:
    """First in, first out among the visible; groups are carried, and served like all others.

    Visibility and delay follow `clock`. A receive waits in real time, `longest_wait` at most: with a fake clock
    nobody wants to sit out the 20 seconds of a long poll.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        delay: timedelta = timedelta(0),
        dead_letters: MemoryTaskQueue | None = None,
        max_receive_count: int = 100,
        longest_wait: timedelta = timedelta(milliseconds=50),
    ) -> None:
        self._clock = clock
        self._delay = delay
        self._dead_letters = dead_letters
        self._max_receive_count = max_receive_count
        self._longest_wait = longest_wait
        self._entries: list[_Entry] = []
        self._changed = threading.Condition()

    def receive(self, *, max_messages: int, wait: timedelta, visibility: timedelta) -> list[QueueMessage]:
        deadline = time.monotonic() + min(wait, self._longest_wait).total_seconds()
        with self._changed:
            while True:
                received = self._take(max_messages, visibility)
                left_s = deadline - time.monotonic()
                if received or left_s <= 0:
                    return received
                self._changed.wait(min(left_s, _POLL_S))

    def extend(self, receipt: str, by: timedelta) -> None:
        with self._changed:
            entry, now = self._entry(receipt), self._clock.now()
            if entry is None or entry.received_at is None or entry.visible_at <= now:
                raise LeaseLost
            if now + by > entry.received_at + _LONGEST_LEASE:
                raise LeaseLost("The message was held for 12 hours; SQS gives no more.")
            entry.visible_at = now + by
            self._changed.notify_all()

    def delete(self, receipt: str) -> None:
        with self._changed:
            entry = self._entry(receipt)
            if entry is not None:
                self._entries.remove(entry)

    def send(self, body: str, *, group: str | None = None) -> None:
        with self._changed:
            self._entries.append(_Entry(str(uuid.uuid4()), body, self._clock.now() + self._delay, group))
            self._changed.notify_all()

    def depth(self) -> int:
        with self._changed:
            return len(self._entries)

    def counts(self) -> QueueCounts:
        with self._changed:
            now = self._clock.now()
            in_flight = sum(entry.received_at is not None and entry.visible_at > now for entry in self._entries)
            return QueueCounts(len(self._entries) - in_flight, in_flight)

    def take_over(self, message_id: str, body: str, *, group: str | None = None) -> None:
        """Take a message that another queue gave up; it keeps its id and its group."""
        with self._changed:
            self._entries.append(_Entry(message_id, body, self._clock.now(), group))
            self._changed.notify_all()

    def bodies(self) -> list[str]:
        """Every message, visible or not, oldest first. For assertions: the port has no such thing."""
        with self._changed:
            return [entry.body for entry in self._entries]

    def _entry(self, receipt: str) -> _Entry | None:
        return next((entry for entry in self._entries if entry.receipt == receipt), None)

    def _take(self, max_messages: int, visibility: timedelta) -> list[QueueMessage]:
        now = self._clock.now()
        received: list[QueueMessage] = []
        for entry in [entry for entry in self._entries if entry.visible_at <= now]:
            if len(received) == max_messages:
                break
            # As SQS: a message is dead-lettered by the receive that would be one too many.
            if self._dead_letters is not None and entry.receive_count >= self._max_receive_count:
                self._entries.remove(entry)
                self._dead_letters.take_over(entry.message_id, entry.body, group=entry.group)
                continue
            entry.receive_count += 1
            entry.receipt = str(uuid.uuid4())
            entry.received_at = now
            entry.visible_at = now + visibility
            received.append(QueueMessage(entry.message_id, entry.receipt, entry.body, entry.receive_count, entry.group))
        return received
