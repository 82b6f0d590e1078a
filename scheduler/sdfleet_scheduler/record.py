"""A run's view of its task's record. Every write is compare-and-set; a conflict reads again and decides again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sdfleet.domain.task import Task
from sdfleet.errors import RecordConflict, TaskNotFound
from sdfleet.ports import TaskStore
from sdfleet_scheduler.offload import offload


class Record:
    def __init__(self, store: TaskStore, task: Task) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        #: The newest record that this process has seen.
        self.task = task

    async def update(self, transition: Callable[[Task], Task]) -> Task:
        """Apply `transition` to the newest record and write the outcome.

        Raises:
            TransitionRefused, ClaimLost: by the transition.
            TaskNotFound: the record is gone.
        """
        async with self._lock:
            while True:
                changed = transition(self.task)
                if changed == self.task:
                    return self.task
                try:
                    self.task = await offload(self._store.save, changed, expecting=self.task)
                except RecordConflict:
                    await self._reload()
                else:
                    return self.task

    async def refresh(self) -> Task:
        """Read the record again.

        Raises:
            TaskNotFound: it is gone.
        """
        async with self._lock:
            await self._reload()
            return self.task

    async def _reload(self) -> None:
        task = await offload(self._store.load, self.task.id)
        if task is None:
            raise TaskNotFound
        self.task = task
