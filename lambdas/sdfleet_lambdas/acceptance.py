"""The one way into the service: content → record → publish → mark.

A crash or an outage between any two leaves a record that a repeated request or the sweeper completes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from sdfleet.domain import names, transitions
from sdfleet.domain.task import JsonObject, Task
from sdfleet.domain.wire import answers, messages
from sdfleet.domain.wire.draft import Draft
from sdfleet.domain.wire.requests import fingerprint
from sdfleet.errors import FieldError, InvalidRequest, RecordConflict, ServiceUnavailable, TaskConflict
from sdfleet.telemetry import logs, metrics
from sdfleet_lambdas.checks import CheckedSubmission, check
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.publication import announce, publish

log = logs.get_logger(__name__)

#: Losing the race for an id this often means that somebody submits and ends it in a loop.
ROUNDS = 5

_KEY_CONFLICT = "This Idempotency-Key came with another request within the last day. Use another key."


@dataclass(frozen=True)
class Acceptance:
    """An accepted task, as its submitter is told."""

    task_id: str
    run: str
    answer: JsonObject
    #: False: the task was there already.
    is_new: bool


def accept(draft: Draft, services: Services, *, idempotency_key: str | None = None) -> Acceptance:
    """Make the draft a task, or find the one that it is already.

    Raises:
        InvalidRequest: with every bad field.
        TaskConflict: the id or the key stands for other content.
        ServiceUnavailable: repeat it; what was done is found again.
    """
    checked = check(draft, services)
    proposed = _proposed(checked, services)
    content = checked.submission.content
    task = None
    if idempotency_key is not None:
        task = _task_of_key(idempotency_key, checked, proposed, services)
    # An id that was made a moment ago has no record; only a conflict would say otherwise.
    is_new = checked.submission.id is None
    for _ in range(ROUNDS):
        former = None if task or is_new else services.tasks.load(proposed.id)
        is_new = False
        if former is not None and not former.is_terminal:
            task = _same_task(former, proposed)
            if idempotency_key is not None:
                _remember(idempotency_key, task, services)
        if task is not None:
            return _accepted(_published(task, content, services), proposed, services, is_new=False)
        try:
            created = _create(proposed, content, former, idempotency_key, services)
        except RecordConflict:
            if idempotency_key is not None:
                task = _task_of_key(idempotency_key, checked, proposed, services)
            continue
        log.info(
            "task.accepted",
            task_id=created.id,
            runtime=created.runtime,
            tasktype=created.tasktype,
            **metrics.embedded({names.REQUESTS_ACCEPTED: 1}, metrics.of_deployment(services.deployment.deployment_id)),
        )
        return _accepted(_published(created, content, services), proposed, services, is_new=True)
    raise ServiceUnavailable("The id's record keeps changing; try again.")


def _proposed(checked: CheckedSubmission, services: Services) -> Task:
    submission, runtime = checked.submission, checked.runtime
    task_id, run = submission.id or services.new_id(), services.new_id()
    return transitions.new_task(
        submission,
        task_id=task_id,
        run=run,
        runtime=runtime.name,
        fingerprint=fingerprint(submission, runtime.name),
        # Known once the content lies there.
        content_location="",
        now=services.clock.now(),
        timeout=runtime.timeout,
        max_attempts=runtime.max_attempts,
    )


def _task_of_key(key: str, checked: CheckedSubmission, proposed: Task, services: Services) -> Task | None:
    """The task that the key has started within the last day."""
    known = services.tasks.idempotency_record(key, now=services.clock.now())
    if known is None:
        return None
    if known.fingerprint != proposed.fingerprint or checked.submission.id not in (None, known.task_id):
        raise TaskConflict(_KEY_CONFLICT)
    task = services.tasks.load(known.task_id)
    if task is not None and task.run == known.run:
        return task
    # Its run is over and another has the id: nothing is left of it but its answer.
    return replace(proposed, id=known.task_id, run=known.run, dispatched_at=proposed.created_at)


def _same_task(unfinished: Task, proposed: Task) -> Task:
    if unfinished.fingerprint != proposed.fingerprint:
        raise TaskConflict
    return unfinished


def _remember(key: str, task: Task, services: Services) -> None:
    """From now on the key stands for this run, although a request without it began it."""
    try:
        services.tasks.remember_key(key, task, now=services.clock.now())
    except RecordConflict:
        # A twin of this request was faster; it remembered the same run or is about to be told of the conflict.
        log.info("key.known", task_id=task.id)


def _create(
    proposed: Task, content: JsonObject, former: Task | None, idempotency_key: str | None, services: Services
) -> Task:
    if former is not None and former.notified_at is None:
        # The new run takes the record away from whoever would have sent it.
        former = announce(former, services)
    body = json.dumps(content, separators=(",", ":")).encode()
    if len(body) > messages.MAX_CONTENT_BYTES:
        # A direct message's own object may be smaller than what we make of it.
        limit = messages.MAX_CONTENT_BYTES // 1024 // 1024
        raise InvalidRequest((FieldError("content", f"must be at most {limit} MiB as JSON; send pictures as links"),))
    task = replace(proposed, content_location=services.inbox.put(proposed, body))
    return services.tasks.create(task, replacing=former, idempotency_key=idempotency_key, now=services.clock.now())


def _published(task: Task, content: JsonObject, services: Services) -> Task:
    if task.dispatched_at is None and not task.is_terminal:
        publish(task, content, services)
    return task


def _accepted(task: Task, proposed: Task, services: Services, *, is_new: bool) -> Acceptance:
    # In the form of this request, whichever form the first one had.
    told = replace(proposed, id=task.id)
    answer = answers.acceptance(told, output_bucket=services.deployment.output_bucket)
    return Acceptance(task.id, task.run, answer, is_new)
