"""One message in hand: its lease, its record, and whoever wants it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sdfleet.domain.wire.messages import TaskMessage
from sdfleet.errors import SdfleetError
from sdfleet_scheduler.lease import Lease
from sdfleet_scheduler.line import Ticket
from sdfleet_scheduler.record import Record

T = TypeVar("T")


class StopReason(StrEnum):
    #: The message may be with another instance.
    LEASE_LOST = "lease_lost"
    #: The record is with another claim or run.
    CLAIM_LOST = "claim_lost"
    CANCEL_REQUESTED = "cancel_requested"
    DRAIN = "drain"
    TIMEOUT = "timeout"
    #: The task before it takes longer than it looked: another instance may be idle.
    OVERTAKEN = "overtaken"


class Stopped(SdfleetError):
    """The run was stopped before it ended."""

    def __init__(self, reason: StopReason) -> None:
        self.reason = reason
        super().__init__(reason)


class TaskRun:
    def __init__(self, message: TaskMessage, lease: Lease, record: Record, ticket: Ticket, *, token: str) -> None:
        self.message = message
        self.ticket = ticket
        self.lease = lease
        self.record = record
        self.token = token
        #: When the claim was written; None before.
        self.claimed_at: datetime | None = None
        #: From here on nothing stops the run: what was made is settled.
        self.is_settling = False
        self._stop: asyncio.Future[StopReason] = asyncio.get_running_loop().create_future()

    @property
    def progress(self) -> float:
        """The runtime's word, 0 to 1."""
        return self.ticket.progress

    @property
    def deliveries(self) -> int:
        """Of the message, this one included."""
        return self.lease.message.receive_count

    def report_progress(self, progress: float) -> None:
        self.ticket.progress = min(1.0, max(self.ticket.progress, progress))

    def request_stop(self, reason: StopReason) -> None:
        """Ask for an end; the first reason counts."""
        if not self._stop.done():
            self._stop.set_result(reason)

    async def stoppable(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of `work`, unless a stop comes first; then `work` is cancelled and waited for.

        Work that ended in the same moment wins: what was made is not thrown away.

        Raises:
            Stopped: with the reason.
        """
        job = asyncio.ensure_future(work)
        waited: set[asyncio.Future[Any]] = {job, self._stop}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            job.cancel()
            raise
        if job.done():
            return job.result()
        job.cancel()
        await asyncio.wait({job})
        if not job.cancelled() and job.exception() is None:
            return job.result()
        raise Stopped(self._stop.result())
