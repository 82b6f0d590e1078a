"""Restarts the runtime's server: when it does not come back, and, between two tasks, when somebody wants it anew."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.recycling import Recycling

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
        clock: Clock,
        restart: Command,
        *,
        is_idle: Callable[[], bool],
        recycling: Recycling,
        on_hopeless: Callable[[], object],
        restart_after: timedelta = RESTART_AFTER,
    ) -> None:
        """`is_idle`: whether no task would lose the server. `on_hopeless`: leave."""
        self._health = health
        self._clock = clock
        self._restart = restart
        self._is_idle = is_idle
        self._recycling = recycling
        self._on_hopeless = on_hopeless
        self._restart_after = restart_after
        self._ready_at = clock.now()
        self._restarts = 0
        self._wanted: str | None = None
        #: The server did not come back however often it was restarted.
        self.is_hopeless = False

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK.total_seconds())

    def want_restart(self, reason: str) -> None:
        """Restart a server that works, once it is idle: from now on nothing is received."""
        if self._wanted is None:
            log.info("runtime.restart_wanted", reason=reason)
            self._wanted = reason
            self._health.pause()

    async def look(self) -> None:
        if self.is_hopeless:
            return
        if self._wanted is not None:
            await self._restart_when_idle(self._wanted)
        elif self._health.is_ready:
            self._ready_at, self._restarts = self._clock.now(), 0
            reason = await self._recycling.due()
            if reason is not None:
                self.want_restart(reason)
        elif self._health.is_withheld:
            # It may work well enough: nobody has asked it.
            self._ready_at = self._clock.now()
        elif self._is_overdue():
            await self._recover()

    def _is_overdue(self) -> bool:
        # One that is known to be broken does not mend by itself; after its restart it has its time like any other.
        is_broken = self._health.needs_restart and not self._restarts
        return is_broken or self._clock.now() - self._ready_at >= self._restart_after

    async def _recover(self) -> None:
        if self._restarts >= MAX_RESTARTS:
            log.error("runtime.hopeless", restarts=self._restarts)
            self.is_hopeless = True
            self._on_hopeless()
            return
        self._restarts += 1
        log.warning("runtime.restarting", restart=self._restarts)
        await self._restart()
        self._has_begun_anew()

    async def _restart_when_idle(self, reason: str) -> None:
        if not self._is_idle():
            return
        try:
            if await self._restart():
                log.info("runtime.recycled", reason=reason, tasks=self._recycling.tasks)
        finally:
            self._wanted = None
            self._health.resume()
        self._has_begun_anew()

    def _has_begun_anew(self) -> None:
        """The server has its time anew, and has done nothing yet."""
        self._ready_at = self._clock.now()
        self._recycling.begin_anew()


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
