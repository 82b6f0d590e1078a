"""Receives messages just in time, one for each place in line, and starts a coroutine for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sdfleet.errors import LeaseLost, ServiceUnavailable
from sdfleet.ports import Clock, QueueMessage, TaskQueue
from sdfleet.telemetry import logs
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.executor import Executor
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.line import Line, Ticket
from sdfleet_scheduler.offload import offload

log = logs.get_logger(__name__)

T = TypeVar("T")

#: One long poll. SQS allows 20 s; a drain waits for the poll to end, so that no message arrives to nobody.
#: At 0.40 USD a million requests an idle instance costs 0.21 USD a month by it.
RECEIVE_WAIT = timedelta(seconds=5)
#: The task at the runtime, the one behind it, and unsettled ones: their pictures are in memory.
MAX_IN_HAND = 5
#: First and longest pause while SQS does not answer.
BACKOFF = (timedelta(seconds=0.5), timedelta(seconds=10))


class Poller:
    def __init__(
        self,
        queue: TaskQueue,
        executor: Executor,
        health: RuntimeHealth,
        drain: Drain,
        line: Line,
        clock: Clock,
        instruments: Instruments,
        *,
        visibility: timedelta,
        may_look_ahead: Callable[[], bool],
    ) -> None:
        """`may_look_ahead`: whether a message may be received while the runtime is busy with another."""
        self._queue = queue
        self._executor = executor
        self._health = health
        self._drain = drain
        self._clock = clock
        self._instruments = instruments
        self._visibility = visibility
        self._line = line
        self._may_look_ahead = may_look_ahead
        self._in_hand = asyncio.Semaphore(MAX_IN_HAND)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Receive until the drain begins; returns when everything in hand is settled or given back."""
        draining = asyncio.create_task(self._drain.begun())
        receiving = asyncio.create_task(self._receive_all())
        try:
            await asyncio.wait({draining, receiving}, return_when=asyncio.FIRST_COMPLETED)
            # A poll under way is waited for: what it brings is given back. Elsewhere the loop sees the drain itself.
            await receiving
        finally:
            draining.cancel()
            receiving.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _receive_all(self) -> None:
        pause = BACKOFF[0]
        while not self._drain.is_draining:
            if await self._unless_draining(self._in_hand.acquire()) is None:
                return
            if await self._unless_draining(self._line.wants_next(self._may_look_ahead)) is None:
                return
            ticket = self._line.join()
            # Asked once the place is ours: the task before may just have lost the runtime.
            if await self._unless_draining(self._health.ready()) is None:
                return
            try:
                received_at = self._clock.now()
                received = await offload(
                    self._queue.receive, max_messages=1, wait=RECEIVE_WAIT, visibility=self._visibility
                )
                pause = BACKOFF[0]
            except ServiceUnavailable:
                log.warning("queue.unavailable", pause_s=pause.total_seconds())
                self._give_up(ticket)
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, BACKOFF[1])
                continue
            # What arrives while the runtime is down or the instance leaves would only fail here.
            if not received or not self._can_start():
                self._give_up(ticket)
                await self._give_back(received)
                continue
            self._start(received[0], ticket, received_at)

    async def _unless_draining(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T] | None:
        """The finished `work`; None if the drain began first."""
        task = asyncio.create_task(work)
        draining = asyncio.create_task(self._drain.begun())
        try:
            await asyncio.wait({task, draining}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._drain.is_draining else task
        finally:
            task.cancel()
            draining.cancel()

    def _can_start(self) -> bool:
        return self._health.is_ready and not self._drain.is_draining

    def _give_up(self, ticket: Ticket) -> None:
        ticket.leave()
        self._in_hand.release()

    async def _give_back(self, received: list[QueueMessage]) -> None:
        for message in received:
            try:
                await offload(self._queue.extend, message.receipt, timedelta(0))
            except (LeaseLost, ServiceUnavailable):
                log.warning("message.left")

    def _start(self, message: QueueMessage, ticket: Ticket, received_at: datetime) -> None:
        self._instruments.received.inc()
        self._instruments.in_hand.inc()
        task = asyncio.create_task(self._execute(message, ticket, received_at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, message: QueueMessage, ticket: Ticket, received_at: datetime) -> None:
        try:
            await self._executor.execute(message, ticket, received_at=received_at)
        except ServiceUnavailable:
            log.warning("message.left", message_id=message.message_id)
        except Exception:  # the supervisor of one message: the others go on, this one comes back
            log.exception("message.crashed", message_id=message.message_id)
        finally:
            self._instruments.in_hand.dec()
            self._in_hand.release()
