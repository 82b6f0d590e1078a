"""The dead-letter queues' consumer: ends what can never run, sends back what can, and keeps every letter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sdfleet.domain import trace, transitions
from sdfleet.domain.task import Failure, Task
from sdfleet.domain.transitions import Admission
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.messages import TaskMessage
from sdfleet.errors import MalformedMessage
from sdfleet.ports import TaskQueue
from sdfleet.telemetry import logs
from sdfleet_lambdas import composition, kept_letters, records
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.publication import announce
from sdfleet_lambdas.sqs_batch import QueuedMessage, handle_each

log = logs.get_logger(__name__)

NOT_ACCEPTED = Failure(
    "not_accepted", "The message could not be accepted for a long time. Send it again.", permanent=False
)
UNKNOWN_TASK = Failure("unknown_task", "The message names a task that has no record. Send it again.", permanent=True)
RUNTIME_REMOVED = Failure(
    "runtime_removed", "The task's runtime is no part of this deployment any more. Name another.", permanent=True
)

_REASONS = {
    Admission.OLDER_RUN: "it is of an older run of its task",
    Admission.ENDED: "its task has ended",
    Admission.HELD: "received too often; sent back, an instance holds its task",
    Admission.RUN: "received too often; sent back, its task may run",
}


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Lambda's entry point: every dead-letter queue's event source mapping."""
    return handle(event, composition.services())


def handle(event: Mapping[str, Any], services: Services) -> dict[str, Any]:
    return handle_each(event, lambda message: _settle(message, services))


def _settle(message: QueuedMessage, services: Services) -> None:
    runtime = _runtime_of(message, services)
    try:
        letter = messages.read_message(message.body)
    except MalformedMessage as error:
        # A direct message in the submission queue's DLQ has no run: it is not malformed, it had no chance.
        malformed = Failure("malformed_message", str(error), permanent=True)
        failure = malformed if runtime or error.task_id is None else NOT_ACCEPTED
        kept_letters.refuse(message, failure, services, task_id=error.task_id, runtime=runtime)
        return
    task = services.tasks.load(letter.task_id)
    if task is None:
        kept_letters.refuse(message, UNKNOWN_TASK, services, task_id=letter.task_id, runtime=runtime)
        return
    _settle_task(message, letter, task, services)


def _settle_task(message: QueuedMessage, letter: TaskMessage, task: Task, services: Services) -> None:
    logs.bind(**trace.log_fields(task.trace_header))
    queue = services.queues.get(_runtime_of(message, services) or task.runtime)
    task = records.update(
        services.tasks,
        task,
        lambda current: _ended_if_it_must(current, letter.run, queue, now=services.clock.now()),
    )
    admission = transitions.admission(task, run=letter.run, now=services.clock.now())
    # An expiry or a lease may run out between the two looks: then it is sent back, and comes here again.
    kept_letters.keep(message, _REASONS.get(admission, _REASONS[Admission.RUN]), services, code=admission.name.lower())
    if admission is Admission.ENDED:
        if task.notified_at is None:
            announce(task, services)
    elif admission is not Admission.OLDER_RUN and queue is not None:
        queue.send(message.body, group=messages.message_group(task))
        services.wake(task.runtime)
        log.info("message.sent_back", task_id=task.id, admission=admission.name.lower())


def _ended_if_it_must(task: Task, run: str, queue: TaskQueue | None, *, now: datetime) -> Task:
    admission = transitions.admission(task, run=run, now=now)
    if admission is Admission.CANCEL:
        return transitions.cancelled(task, run=run, now=now)
    if admission is Admission.EXPIRED:
        return transitions.expire(task, now=now)
    if admission is Admission.SPENT:
        return transitions.fail(task, transitions.ATTEMPTS_SPENT, run=run, now=now)
    if admission is Admission.RUN and queue is None:
        return transitions.fail(task, RUNTIME_REMOVED, run=run, now=now)
    return task


def _runtime_of(message: QueuedMessage, services: Services) -> str | None:
    """The runtime whose dead-letter queue it came from; None for the submission queue's."""
    return next(
        (
            runtime.name
            for runtime in services.deployment.runtimes
            if runtime.dead_letter_queue_url.rsplit("/", 1)[-1] == message.queue
        ),
        None,
    )
