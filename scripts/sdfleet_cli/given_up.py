"""Callbacks that were given up: looked at where they lie, and sent back to be tried anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from sdfleet.domain.wire.callbacks import CallbackNotice, read_callback
from sdfleet.errors import LeaseLost, MalformedMessage
from sdfleet.ports import QueueMessage, TaskQueue

#: SQS hands out no more at once.
_BATCH = 10
#: Meanwhile nobody else who looks sees them; they come back by themselves if this process ends in between.
_VISIBILITY = timedelta(seconds=60)
#: Long polling asks all of the queue's servers (Developer Guide, "Short and long polling"); short polling misses some.
_WAIT = timedelta(seconds=1)


@dataclass(frozen=True)
class GivenUp:
    """One callback of the dead-letter queue."""

    #: What receivers know it by (`webhook-id`); None: it is no callback of ours.
    event_id: str | None
    task_id: str | None
    #: Host and port alone: path and query may hold the receiver's secrets.
    host: str | None


def given_up(dead_letters: TaskQueue) -> list[GivenUp]:
    """All of them; they stay where they are."""
    seen = list(_messages(dead_letters))
    _release(dead_letters, seen)
    return [_described(message) for message in seen]


def redeliver(dead_letters: TaskQueue, callbacks: TaskQueue, *, only: Collection[str] = ()) -> list[GivenUp]:
    """Send back those of the tasks `only`, or all; what is no callback of ours stays.

    One that is cut off in between may be sent twice, as every callback may: its `webhook-id` is the same.
    """
    sent, left = [], []
    for message in _messages(dead_letters):
        one = _described(message)
        if one.event_id is None or (only and one.task_id not in only):
            left.append(message)
            continue
        callbacks.send(message.body)
        dead_letters.delete(message.receipt)
        sent.append(one)
    _release(dead_letters, left)
    return sent


def _messages(queue: TaskQueue) -> Iterator[QueueMessage]:
    seen: set[str] = set()
    while batch := queue.receive(max_messages=_BATCH, wait=_WAIT, visibility=_VISIBILITY):
        new = [message for message in batch if message.message_id not in seen]
        if not new:
            # The first ones are visible again: it has been once around.
            return
        for message in new:
            seen.add(message.message_id)
            yield message


def _release(queue: TaskQueue, messages: list[QueueMessage]) -> None:
    for message in messages:
        with suppress(LeaseLost):
            queue.extend(message.receipt, timedelta(0))


def _described(message: QueueMessage) -> GivenUp:
    try:
        notice: CallbackNotice = read_callback(message.body)
    except MalformedMessage:
        return GivenUp(None, None, None)
    return GivenUp(notice.event_id, notice.task_id, _host(notice.url))


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).netloc.rsplit("@", 1)[-1] or None
    except ValueError:
        return None
