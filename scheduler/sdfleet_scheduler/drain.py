"""The drain signal: stop receiving, finish or requeue, leave."""

from __future__ import annotations

import asyncio

from sdfleet.domain.interruption import Notice, tightened
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)


class Drain:
    """Set once; a later notice can only shorten the deadline."""

    def __init__(self) -> None:
        self._notice: Notice | None = None
        self._begun = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def notice(self) -> Notice | None:
        return self._notice

    @property
    def is_draining(self) -> bool:
        return self._notice is not None

    def begin(self, notice: Notice) -> Notice:
        """Begin the drain, or shorten it; returns the notice in force."""
        in_force = tightened(self._notice, notice)
        if in_force is self._notice:
            return in_force
        log.info("drain.tightened" if self._notice else "drain.begun", kind=notice.kind, deadline=notice.deadline)
        self._notice = in_force
        self._begun.set()
        self._changed.set()
        self._changed = asyncio.Event()
        return in_force

    async def begun(self) -> None:
        """Returns once the drain has begun."""
        await self._begun.wait()

    async def tightened(self) -> None:
        """Returns at the next change of the notice."""
        await self._changed.wait()
