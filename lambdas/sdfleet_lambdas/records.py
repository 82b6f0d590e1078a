"""Writes to a task's record, by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable

from sdfleet.domain.task import Task
from sdfleet.errors import RecordConflict, ServiceUnavailable, TaskNotFound
from sdfleet.ports import TaskStore

#: One write a heartbeat, a handler or two beside it: who loses five times in a row meets something broken.
ROUNDS = 5


def update(store: TaskStore, task: Task, transition: Callable[[Task], Task]) -> Task:
    """Apply `transition` to the newest record, of which `task` is our last reading, and write the outcome.

    Raises:
        TransitionRefused, ClaimLost: by the transition.
        TaskNotFound: the record is gone.
        ServiceUnavailable: it keeps changing under us.
    """
    for _ in range(ROUNDS):
        changed = transition(task)
        if changed == task:
            return task
        try:
            return store.save(changed, expecting=task)
        except RecordConflict:
            current = store.load(task.id)
            if current is None:
                raise TaskNotFound from None
            task = current
    raise ServiceUnavailable("The task's record keeps changing; try again.")
