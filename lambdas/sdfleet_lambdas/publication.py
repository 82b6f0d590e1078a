"""What goes out to the topics: tasks and notices. Publish first, then mark: doubled is allowed, missing is not."""

from __future__ import annotations

from collections.abc import Sequence

from sdfleet.domain import transitions
from sdfleet.domain.task import Artifact, JsonObject, Task
from sdfleet.domain.wire import answers, messages
from sdfleet.errors import ClaimLost, ServiceUnavailable, TaskNotFound
from sdfleet.telemetry import logs, task_metrics
from sdfleet_lambdas import records
from sdfleet_lambdas.composition import Services

log = logs.get_logger(__name__)


def publish(task: Task, content: JsonObject, services: Services) -> None:
    """Send the task to its fleet, then mark it dispatched.

    Raises:
        ServiceUnavailable: the topic did not take it; the record says so, and the sweeper sends it later.
    """
    services.requests.publish(
        messages.write_message(task, content), messages.message_attributes(task), group=messages.message_group(task)
    )
    services.wake(task.runtime)
    try:
        records.update(services.tasks, task, lambda current: _dispatched(current, task.run, services))
    except (ServiceUnavailable, TaskNotFound):
        # The message is out. Unmarked it goes out once more, which a second message of the same run survives.
        log.warning("task.mark_failed", task_id=task.id, mark="dispatched")
    # The lines before and after it in a request or a sweep say as much.
    log.debug("task.published", task_id=task.id, runtime=task.runtime)


def _dispatched(task: Task, run: str, services: Services) -> Task:
    return transitions.dispatched(task, now=services.clock.now()) if task.run == run else task


def announce(task: Task, services: Services) -> Task:
    """Send the notice of a terminal task, then mark it notified; the record as it is then.

    Raises:
        ServiceUnavailable: the notice is not out, or not marked; doing it again is right.
    """
    links = fresh_links(task.artifacts[: answers.MAX_LISTED_OUTPUTS], services)
    services.results.publish(answers.notice(task, image_link=links), answers.notice_attributes(task))
    log.info("task.announced", task_id=task.id, status=task.status)
    try:
        marked = records.update(
            services.tasks,
            task,
            lambda current: transitions.notified(current, run=task.run, now=services.clock.now()),
        )
    except (ClaimLost, TaskNotFound):
        return task
    task_metrics.ended(task, services.deployment.deployment_id)
    return marked


def fresh_links(artifacts: Sequence[Artifact], services: Services) -> list[str]:
    return [services.artifacts.link(artifact.url, lifetime=services.link_lifetime) for artifact in artifacts]
