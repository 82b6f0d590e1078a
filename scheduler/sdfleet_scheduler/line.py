"""The line in front of the runtime: one task at it, and the next one just in time.

The first in line has the runtime. The second is received, prepared and claimed when the first is about to end, so that
the runtime goes from one to the next at once, and no message is kept from an idle instance for longer than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from sdfleet.ports import Clock
from sdfleet_scheduler.pace import Pace

#: At least this early, however quick the preparations were: estimates are no better.
LEAST_LEAD = timedelta(seconds=1)
#: At most this early: a slow link must not make the second wait in line for minutes.
LONGEST_LEAD = timedelta(seconds=10)
#: A second in line that has waited this long is given back: the first takes longer than it looked.
LONGEST_WAIT = timedelta(seconds=20)
#: How often to look where nothing tells of a change. A quarter of the least lead.
LOOK = timedelta(seconds=0.25)
#: An estimate is looked at again after this, for the runtime's word on its progress may have changed it.
LONGEST_LOOK = timedelta(seconds=2)
_NOW = timedelta(0)


class Ticket:
    """A place in line, from before the receive of the message until the runtime is done with its task."""

    def __init__(self, line: Line, joined_at: datetime) -> None:
        self._line = line
        self.joined_at = joined_at
        #: The task's type, once it is known.
        self.kind = ""
        self.progress = 0.0
        #: Since when it has been first with its task handed over.
        self.begun_at: datetime | None = None

    @property
    def is_first(self) -> bool:
        return self._line.first is self

    async def first(self) -> None:
        """Returns when the runtime is free for this task."""
        while not self.is_first:
            await self._line.changed()

    def leave(self) -> None:
        """Give up the place, once."""
        self._line.leave(self)


class Line:
    def __init__(self, pace: Pace, clock: Clock) -> None:
        self._pace = pace
        self._clock = clock
        self._tickets: list[Ticket] = []
        self._changed = asyncio.Event()
        #: Tasks that have had the runtime.
        self.served = 0
        #: The ticket behind which nobody waits any more: its predecessor gave up.
        self._slow: Ticket | None = None

    @property
    def first(self) -> Ticket | None:
        return self._tickets[0] if self._tickets else None

    @property
    def is_busy(self) -> bool:
        """Whether a task is at the runtime."""
        return self.first is not None and self.first.begun_at is not None

    def join(self) -> Ticket:
        ticket = Ticket(self, self._clock.now())
        self._tickets.append(ticket)
        self._tell()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            self._tell()

    def begin(self, ticket: Ticket) -> None:
        """The first ticket's task has the runtime from now on."""
        if ticket.begun_at is None:
            ticket.begun_at = self._clock.now()
            self.served += 1
            self._tell()

    def give_up_waiting(self) -> None:
        """Nobody joins behind the present first: it takes longer than it looks."""
        self._slow = self.first

    async def changed(self) -> None:
        await self._changed.wait()

    async def wants_next(self, may_look_ahead: Callable[[], bool]) -> None:
        """Returns when the next message should be received."""
        while (wait := self._until_next(may_look_ahead)) != _NOW:
            if wait is None:
                await self.changed()
                continue
            try:
                async with asyncio.timeout(wait.total_seconds()):
                    await self.changed()
            except TimeoutError:
                continue

    def _until_next(self, may_look_ahead: Callable[[], bool]) -> timedelta | None:
        """How long the next message should wait, or nobody knows better; None: until the line changes."""
        first = self.first
        if first is None:
            return _NOW
        if len(self._tickets) > 1 or first is self._slow:
            # No prediction changes that.
            return None
        if not first.kind or not may_look_ahead():
            return LOOK
        elapsed = self._clock.now() - first.begun_at if first.begun_at else timedelta(0)
        remaining = self._pace.remaining(first.kind, elapsed=elapsed, progress=first.progress)
        if remaining is None:
            return LOOK
        lead = min(max(LEAST_LEAD, self._pace.preparation * 2), LONGEST_LEAD)
        return min(max(_NOW, remaining - lead), LONGEST_LOOK)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
