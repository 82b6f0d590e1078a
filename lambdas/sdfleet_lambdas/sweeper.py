"""Runs every minute: completes what a crash or an outage left undone, and settles dead letters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sdfleet.domain import names, trace, transitions
from sdfleet.domain.task import Failure, Task
from sdfleet.domain.wire import messages
from sdfleet.errors import ObjectNotFound, SdfleetError, TransitionRefused
from sdfleet.telemetry import logs, metrics
from sdfleet_lambdas import composition, dead_letters, records, undispatched
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.publication import announce, publish

log = logs.get_logger(__name__)

#: Of one run: below the schedule's minute, so that two never overlap.
TIME_LIMIT = timedelta(seconds=45)
#: Records of one run, and their time: however many are due, a third of the run is left for letters.
MAX_RECORDS = 100
RECORDS_TIME_LIMIT = timedelta(seconds=30)

CONTENT_LOST = Failure("content_lost", "The task's content is no longer kept. Send the task again.", permanent=True)


class Outcome(StrEnum):
    PUBLISHED = "published"
    ENDED = "ended"
    ANNOUNCED = "announced"
    #: Somebody else was quicker, or an instance holds it.
    LEFT = "left"
    #: It is due still; the next run tries again.
    FAILED = "failed"


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, int]:
    """Lambda's entry point: a schedule."""
    return handle(event, composition.services())


def handle(_event: Mapping[str, Any], services: Services) -> dict[str, int]:
    """How many records had which outcome."""
    began = services.clock.now()
    try:
        return _sweep_records(services, deadline=began + RECORDS_TIME_LIMIT)
    finally:
        # After the records: a queue that hangs would take their time. And also where those could not be listed.
        dead_letters.collect(services, until=began + TIME_LIMIT)


def _sweep_records(services: Services, *, deadline: datetime) -> dict[str, int]:
    outcomes: Counter[str] = Counter()

    def mend(task_id: str) -> bool:
        with logs.bound(task_id=task_id):
            outcome = _swept(task_id, services)
        outcomes[outcome] += 1
        return outcome is not Outcome.FAILED

    for task_id in services.tasks.due(now=services.clock.now(), limit=MAX_RECORDS):
        if services.clock.now() > deadline:
            break
        mend(task_id)
    undispatched.sweep(services, mend, deadline=deadline)
    if services.clock.now() > deadline:
        log.warning("sweep.cut_short", outcomes=dict(outcomes))
    deployment = metrics.of_deployment(services.deployment.deployment_id)
    for outcome, count in outcomes.items():
        metrics.count(names.SWEPT_TASKS, {**deployment, "Outcome": outcome}, count)
    return dict(outcomes)


def _swept(task_id: str, services: Services) -> Outcome:
    try:
        outcome = _mend(task_id, services)
    except TransitionRefused:
        outcome = Outcome.LEFT
    except SdfleetError as error:
        log.warning("sweep.postponed", reason=str(error))
        outcome = Outcome.FAILED
    except Exception:  # one bad record does not stop the rest
        log.exception("sweep.failed")
        outcome = Outcome.FAILED
    log.info("task.swept", outcome=outcome)
    return outcome


def _mend(task_id: str, services: Services) -> Outcome:
    task = services.tasks.load(task_id)
    now = services.clock.now()
    # What was listed may have changed meanwhile.
    if task is None or not (_is_due(task, now) or transitions.is_undispatched(task, now=now)) or task.is_leased(now):
        return Outcome.LEFT
    logs.bind(**trace.log_fields(task.trace_header))
    if task.is_terminal:
        announce(task, services)
        return Outcome.ANNOUNCED
    if task.expires_at <= now:
        return _end(task, services)
    try:
        content = json.loads(services.inbox.get(task, max_bytes=messages.MAX_CONTENT_BYTES))
    except ObjectNotFound:
        return _end(task, services, CONTENT_LOST)
    publish(task, content, services)
    return Outcome.PUBLISHED


def _is_due(task: Task, now: datetime) -> bool:
    due_at = transitions.due_at(task)
    return due_at is not None and due_at <= now


def _end(task: Task, services: Services, failure: Failure | None = None) -> Outcome:
    run = task.run
    announce(
        records.update(services.tasks, task, lambda current: _ended(current, run, failure, now=services.clock.now())),
        services,
    )
    return Outcome.ENDED


def _ended(task: Task, run: str, failure: Failure | None, *, now: datetime) -> Task:
    if task.cancel_requested:
        return transitions.cancelled(task, run=run, now=now)
    if failure is not None:
        if task.dispatched_at is not None:
            raise TransitionRefused("somebody published it meanwhile")
        return transitions.fail(task, failure, run=run, now=now)
    return transitions.expire(task, now=now)
