"""What the dashboard and the alarms know of tasks: the same from an instance as from a handler."""

from __future__ import annotations

from sdfleet.domain import names
from sdfleet.domain.task import Task, TaskStatus
from sdfleet.telemetry import metrics

_ENDED = {
    TaskStatus.SUCCEEDED: names.TASKS_SUCCEEDED,
    TaskStatus.FAILED: names.TASKS_FAILED,
    TaskStatus.CANCELLED: names.TASKS_CANCELLED,
}


def ended(task: Task, deployment_id: str) -> None:
    """Once a task, when its notice is out: how it ended, how long it waited, how long it ran."""
    counts, seconds = of_end(task)
    metrics.emit(counts, _of_fleet(task, deployment_id), seconds=seconds)


def of_end(task: Task) -> tuple[dict[str, int], dict[str, float]]:
    """Counts and seconds of a task that has ended."""
    seconds = {}
    if task.started_at is not None:
        seconds[names.QUEUE_SECONDS] = max(0.0, (task.started_at - task.created_at).total_seconds())
        if task.finished_at is not None:
            seconds[names.RUN_SECONDS] = max(0.0, (task.finished_at - task.started_at).total_seconds())
    return {_ENDED[task.status]: 1}, seconds


def interrupted(task: Task, deployment_id: str) -> None:
    """An instance that has to go gave a running task back."""
    metrics.count(names.TASKS_INTERRUPTED, _of_fleet(task, deployment_id))


def _of_fleet(task: Task, deployment_id: str) -> dict[str, str]:
    return {names.FLEET_DIMENSION: names.fleet_name(deployment_id, task.runtime)}
