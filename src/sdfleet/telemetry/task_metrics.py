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


def ended(task: Task, deployment_id: str, *, release: str | None = None) -> None:
    """Once a task, when its notice is out: how it ended, how long it waited, how long it ran.

    `release`: of the instance that ended it; None: a handler did, or it is not known.
    """
    seconds = {}
    if task.started_at is not None:
        seconds[names.QUEUE_SECONDS] = max(0.0, (task.started_at - task.created_at).total_seconds())
        if task.finished_at is not None:
            seconds[names.RUN_SECONDS] = max(0.0, (task.finished_at - task.started_at).total_seconds())
    metrics.emit(
        {_ENDED[task.status]: 1}, _of_fleet(task, deployment_id), seconds=seconds, also_by=_by_release(release)
    )


def try_failed(task: Task, deployment_id: str, *, release: str | None) -> None:
    """A run failed, or an instance could not begin it; whatever becomes of the task."""
    metrics.count(names.TRIES_FAILED, _of_fleet(task, deployment_id), also_by=_by_release(release))


def interrupted(task: Task, deployment_id: str) -> None:
    """An instance that has to go gave a running task back."""
    metrics.count(names.TASKS_INTERRUPTED, _of_fleet(task, deployment_id))


def _by_release(release: str | None) -> dict[str, str]:
    return {names.RELEASE_DIMENSION: release} if release else {}


def _of_fleet(task: Task, deployment_id: str) -> dict[str, str]:
    return {names.FLEET_DIMENSION: names.fleet_name(deployment_id, task.runtime)}
