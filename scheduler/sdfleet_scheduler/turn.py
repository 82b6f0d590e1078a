"""The runtime's attention: one task has it at a time."""

from __future__ import annotations

import asyncio


class Turn:
    """Held by one message in hand, from its receipt until the runtime is done with it. Released once."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._is_held = True

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._slots.release()


class Turns:
    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(1)

    async def next(self) -> Turn:
        """Wait for the runtime to be free and take it."""
        await self._slots.acquire()
        return Turn(self._slots)
