"""Runs the parts until the drain is over."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

import uvicorn

from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.telemetry import logs
from sdfleet_scheduler.composition import Parts

log = logs.get_logger(__name__)

#: Beyond the notice's deadline: what is not settled by then comes back by itself.
EXIT_GRACE = timedelta(seconds=5)
#: How soon the server sees that it has to go.
SERVER_TICK = timedelta(seconds=0.5)


class _Server(uvicorn.Server):
    """Leaves the signals to the supervisor: SIGTERM drains, and /readyz answers meanwhile."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        # uvicorn's own looks ten times a second, for a date that changes once; its counter is in tenths.
        tenths = 0
        while not await self.on_tick(tenths):
            tenths += 10
            await asyncio.sleep(SERVER_TICK.total_seconds())


async def supervise(parts: Parts) -> None:
    """Returns when everything in hand is settled or given back after a drain.

    Any part that dies ends the process: the group replaces an instance that cannot do its work.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _begin_drain, parts)
    config = uvicorn.Config(
        parts.app, host=parts.environment.host, port=parts.environment.port, log_config=None, access_log=False
    )
    server = _Server(config)
    works: dict[str, Coroutine[Any, Any, None]] = {
        "poller": parts.poller.run(),
        "health": parts.health.watch(),
        "interruption_watch": parts.watch.run(),
        "lifecycle": parts.lifecycle.run(),
        "drain": parts.executor.oversee_drain(),
        "server": server.serve(),
    }
    if parts.keeper is not None:
        works["runtime_keeper"] = parts.keeper.watch()
    if parts.boot is not None:
        works["boot"] = parts.boot.run()
    if parts.presence is not None:
        works["presence"] = parts.presence.run()
    if parts.reporter is not None:
        works["work_reports"] = parts.reporter.run()
    tasks = {name: asyncio.create_task(work, name=name) for name, work in works.items()}
    log.info("scheduler.started", release=parts.identity.release, port=parts.environment.port)
    try:
        await _run_until_drained(parts, tasks)
        if _is_hopeless(parts):
            await parts.lifecycle.ask_for_replacement()
        # Not a moment earlier: the group ends the instance then, and with it whatever is not settled.
        await parts.lifecycle.complete()
    finally:
        server.should_exit = True
        for name, task in tasks.items():
            if name != "server":
                task.cancel()
        await asyncio.wait(tasks.values(), timeout=EXIT_GRACE.total_seconds())
        for close in parts.closing:
            await close()
    log.info("scheduler.stopped")


def _is_hopeless(parts: Parts) -> bool:
    """Whether the group is to replace this instance, and nobody else of it asks for that."""
    if parts.boot is not None and parts.boot.failure is not None:
        return not parts.boot.is_given_up
    return parts.keeper is not None and parts.keeper.is_hopeless


def _begin_drain(parts: Parts) -> None:
    parts.drain.begin(Notice(NoticeKind.SIGTERM, parts.clock.now() + parts.environment.drain_timeout))


async def _run_until_drained(parts: Parts, tasks: dict[str, asyncio.Task[None]]) -> None:
    overdue = asyncio.create_task(_overdue(parts))
    try:
        done, _ = await asyncio.wait({*tasks.values(), overdue}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        overdue.cancel()
        parts.tally.flush()
    for task in done - {overdue}:
        if task.exception() is not None or not parts.drain.is_draining:
            log.error("part.died", part=task.get_name())
        # Raises what killed the part.
        await task
    if overdue in done:
        log.warning("drain.overdue", left=len(parts.executor.runs))


async def _overdue(parts: Parts) -> None:
    """Returns when the drain's deadline, which may be shortened meanwhile, has passed."""
    await parts.drain.begun()
    while (notice := parts.drain.notice) is not None:
        left = notice.deadline + EXIT_GRACE - parts.clock.now()
        try:
            async with asyncio.timeout(max(0.0, left.total_seconds())):
                await parts.drain.tightened()
        except TimeoutError:
            return
