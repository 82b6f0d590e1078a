"""Keeps a message ours while its task is in hand, and hears of a cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sdfleet.domain import transitions
from sdfleet.errors import ClaimLost, LeaseLost, ServiceUnavailable, TaskNotFound
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler.task_run import StopReason, TaskRun

log = logs.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]

#: A cancel is seen within this of the task's turn at the runtime; one read of the record a tick.
TICK = timedelta(seconds=2)
#: Smaller steps of progress are not worth a write of the record.
PROGRESS_STEP = 0.05
#: Before the lease ends the work must have stopped: the runtime's interrupt takes up to half a second.
STOP_MARGIN = timedelta(seconds=3)


class Heartbeat:
    def __init__(self, clock: Clock, *, visibility: timedelta, sleep: Sleep = asyncio.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._interval = visibility / 3
        self._tick = min(TICK, self._interval)

    async def keep(self, run: TaskRun) -> None:
        """Beat until cancelled; stops the run when the lease cannot be kept."""
        extended_at = self._clock.now()
        while True:
            await self._sleep(self._tick.total_seconds())
            if (begun_at := run.ticket.begun_at) is not None and (since := self._clock.now() - begun_at) < self._tick:
                # Ticks count from the start of the work: most tasks are done before their first.
                await self._sleep((self._tick - since).total_seconds())
            try:
                async with asyncio.timeout(self._interval.total_seconds()):
                    extended_at = await self._beat(run, extended_at)
            except (LeaseLost, ClaimLost, TaskNotFound) as error:
                reason = StopReason.LEASE_LOST if isinstance(error, LeaseLost) else StopReason.CLAIM_LOST
                log.warning("lease.lost", reason=reason)
                run.request_stop(reason)
                return
            except (ServiceUnavailable, TimeoutError):
                log.warning("heartbeat.failed", lease_left_s=self._left(run).total_seconds())
                if self._left(run) <= STOP_MARGIN:
                    run.request_stop(StopReason.LEASE_LOST)
                    return

    async def _beat(self, run: TaskRun, extended_at: datetime) -> datetime:
        is_due = self._clock.now() - extended_at >= self._interval
        if is_due:
            extended_at = self._clock.now()
            await run.lease.extend()
        if run.claimed_at is not None and not run.is_settling:
            await self._beat_record(run, write=is_due)
        return extended_at

    async def _beat_record(self, run: TaskRun, *, write: bool) -> None:
        if write or run.progress - run.record.task.progress >= PROGRESS_STEP:
            task = await run.record.update(
                lambda task: transitions.renew(
                    task,
                    run=run.message.run,
                    token=run.token,
                    lease_until=run.lease.expires_at,
                    progress=run.progress,
                )
            )
        else:
            task = await run.record.refresh()
            if run.is_settling:
                return
            if task.run != run.message.run or task.claim is None or task.claim.token != run.token:
                raise ClaimLost
        if task.cancel_requested:
            run.request_stop(StopReason.CANCEL_REQUESTED)

    def _left(self, run: TaskRun) -> timedelta:
        return run.lease.expires_at - self._clock.now()
