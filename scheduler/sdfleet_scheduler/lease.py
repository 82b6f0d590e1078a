"""Our hold on a message until its visibility timeout."""

from __future__ import annotations

from datetime import datetime, timedelta

from sdfleet.ports import Clock, QueueMessage, TaskQueue
from sdfleet_scheduler.offload import offload


class Lease:
    def __init__(
        self, queue: TaskQueue, message: QueueMessage, clock: Clock, *, visibility: timedelta, received_at: datetime
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._visibility = visibility
        self.message = message
        #: Invisible to others until then at least: counted from before the call that made it so.
        self.expires_at = received_at + visibility

    async def extend(self) -> None:
        """Hold the message for another visibility timeout.

        Raises:
            LeaseLost: another instance may hold it.
        """
        before = self._clock.now()
        await offload(self._queue.extend, self.message.receipt, self._visibility)
        self.expires_at = before + self._visibility

    async def release(self, after: timedelta = timedelta(0)) -> None:
        """Let others have the message `after` this time."""
        await offload(self._queue.extend, self.message.receipt, after)

    async def delete(self) -> None:
        await offload(self._queue.delete, self.message.receipt)
