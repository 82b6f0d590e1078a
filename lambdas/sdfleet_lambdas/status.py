"""`/v1alpha2/tasks/{id}`: how a task is doing, and its cancellation."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from sdfleet.domain import names, transitions
from sdfleet.domain.task import JsonObject, Task
from sdfleet.domain.wire import answers
from sdfleet.errors import ServiceUnavailable, TaskNotFound
from sdfleet.telemetry import logs
from sdfleet_lambdas import records
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.proxy import Request, Response
from sdfleet_lambdas.publication import announce, fresh_links

log = logs.get_logger(__name__)


def status_path(base_path: str, task_id: str) -> str:
    return f"{base_path}/v1alpha2/tasks/{task_id}"


def status_view(task: Task, services: Services) -> JsonObject:
    return answers.status_view(
        task,
        output_bucket=services.deployment.output_bucket,
        image_link=fresh_links(task.artifacts, services),
        now=services.clock.now(),
    )


def show(_request: Request, services: Services, parameters: Mapping[str, str]) -> Response:
    """Raises:
    TaskNotFound: no such task.
    """
    return Response(HTTPStatus.OK, status_view(find(parameters["id"], services), services))


def cancel(_request: Request, services: Services, parameters: Mapping[str, str]) -> Response:
    """A queued task ends now, with its notice; a running one as soon as its instance hears of it.

    Raises:
        TaskNotFound: no such task.
        TransitionRefused: it has ended.
    """
    task = find(parameters["id"], services)
    run = task.run
    task = records.update(
        services.tasks,
        task,
        lambda current: transitions.request_cancel(_of_run(current, run), now=services.clock.now()),
    )
    log.info("task.cancel_requested", task_id=task.id, status=task.status)
    if task.is_terminal:
        try:
            task = announce(task, services)
        except ServiceUnavailable:
            # It is cancelled; the sweeper sends what is missing.
            log.warning("task.announce_failed", task_id=task.id)
    return Response(HTTPStatus.ACCEPTED, status_view(task, services))


def find(task_id: str, services: Services) -> Task:
    """Raises:
    TaskNotFound: no such task.
    """
    task = services.tasks.load(task_id) if names.TASK_ID.fullmatch(task_id) else None
    if task is None:
        raise TaskNotFound
    return task


def _of_run(task: Task, run: str) -> Task:
    """A run that began after the caller asked is not what the caller meant."""
    if task.run != run:
        raise TaskNotFound("The run that was to be cancelled has ended.")
    return task
