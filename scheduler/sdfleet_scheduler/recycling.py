"""Whether a server that works should begin anew: after so many tasks, or when it holds too much memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sdfleet.ports import Clock
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

#: Main memory in bytes, by the server's own word; None: it does not say.
Memory = Callable[[], Awaitable[int | None]]

MIB = 1024 * 1024
#: Leaks grow by the task; a look costs the server some milliseconds.
WEIGH_EVERY = timedelta(seconds=30)
#: Above the limit again so soon, a server needs what it takes: restarting it for ever would cost more than its leak.
LEAST_LIFE = timedelta(minutes=10)


class Recycling:
    def __init__(
        self,
        clock: Clock,
        served: Callable[[], int],
        *,
        after_tasks: int | None = None,
        above_mib: int | None = None,
        memory: Memory | None = None,
    ) -> None:
        """`served` counts the tasks since the start. `memory` None: the server cannot tell."""
        self._clock = clock
        self._served = served
        self._after_tasks = after_tasks
        self._above_mib = above_mib if memory is not None else None
        self._memory = memory
        if above_mib is not None and memory is None:
            log.warning("runtime.memory_unknown", above_mib=above_mib)
        self.begin_anew()

    def begin_anew(self) -> None:
        """The server was restarted."""
        self._began_at = self._clock.now()
        self._served_before = self._served()
        self._weighed_at: datetime | None = None
        self._has_complained = False

    @property
    def tasks(self) -> int:
        """Those of the server since it began."""
        return self._served() - self._served_before

    async def due(self) -> str | None:
        """Why the server should begin anew; None: it need not."""
        if not self.tasks:
            return None
        if self._after_tasks is not None and self.tasks >= self._after_tasks:
            return "tasks"
        return "memory" if await self._is_too_large() else None

    async def _is_too_large(self) -> bool:
        now = self._clock.now()
        if self._above_mib is None or self._memory is None:
            return False
        if self._weighed_at is not None and now - self._weighed_at < WEIGH_EVERY:
            return False
        self._weighed_at = now
        used = await self._memory()
        if used is None or used <= self._above_mib * MIB:
            return False
        if now - self._began_at >= LEAST_LIFE:
            log.info("runtime.grown", used_mib=used // MIB, above_mib=self._above_mib)
            return True
        if not self._has_complained:
            self._has_complained = True
            log.warning("runtime.memory_limit_too_low", used_mib=used // MIB, above_mib=self._above_mib)
        return False
