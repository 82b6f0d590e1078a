"""Restarts the runtime's server: when it does not come back, after so many tasks, or when it has grown."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.line import Line

log = logs.get_logger(__name__)

Command = Callable[[], Awaitable[bool]]

#: A WebUI with a large model takes two minutes to its first answer; only a server that is longer away is restarted.
RESTART_AFTER = timedelta(minutes=3)
#: So many restarts without a ready server: it is the machine.
MAX_RESTARTS = 3
#: A restart command that hangs is given up.
COMMAND_TIMEOUT = timedelta(minutes=2)
#: How often the keeper looks.
LOOK = timedelta(seconds=1)


class RuntimeKeeper:
    def __init__(
        self,
        health: RuntimeHealth,
        line: Line,
        clock: Clock,
        restart: Command,
        *,
        restart_after: timedelta = RESTART_AFTER,
        recycle_after: int | None = None,
        on_hopeless: Callable[[], object],
    ) -> None:
        """`recycle_after`: restart an idle server after this many tasks (both servers leak). `on_hopeless`: leave."""
        self._health = health
        self._line = line
        self._clock = clock
        self._restart = restart
        self._restart_after = restart_after
        self._recycle_after = recycle_after
        self._on_hopeless = on_hopeless
        self._ready_at = clock.now()
        self._restarts = 0
        self._tasks_at_restart = 0

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK.total_seconds())

    async def look(self) -> None:
        if self._health.is_ready:
            self._ready_at, self._restarts = self._clock.now(), 0
            await self._recycle_if_due()
        elif self._clock.now() - self._ready_at >= self._restart_after:
            await self._recover()

    async def _recover(self) -> None:
        if self._restarts >= MAX_RESTARTS:
            log.error("runtime.hopeless", restarts=self._restarts)
            self._on_hopeless()
            return
        self._restarts += 1
        log.warning("runtime.restarting", restart=self._restarts)
        await self._restart()
        # The server has its time anew.
        self._ready_at = self._clock.now()

    async def _recycle_if_due(self) -> None:
        done = self._line.served - self._tasks_at_restart
        if self._recycle_after is None or done < self._recycle_after or self._line.is_busy:
            return
        log.info("runtime.recycled", tasks=done)
        self._health.doubt()
        self._tasks_at_restart = self._line.served
        await self._restart()


def shell_free_command(command: str) -> Command:
    """Runs `command` (words, no shell); True if it ended well in time."""

    async def run() -> bool:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT.total_seconds()):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            status = -1
        if status != 0:
            log.error("runtime.restart_failed", status=status)
        return status == 0

    return run
