"""`Prefer: wait`: the answer is the finished task, if it ends in time (RFC 7240, 4.3)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from http import HTTPStatus

from sdfleet.domain.task import Task
from sdfleet.errors import ServiceUnavailable
from sdfleet.telemetry import logs
from sdfleet_lambdas.acceptance import Acceptance
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.proxy import Request, Response
from sdfleet_lambdas.status import status_path, status_view

log = logs.get_logger(__name__)

#: API Gateway gives up after 29 s (wire contract, Waiting).
LONGEST_WAIT = timedelta(seconds=25)
#: Between two looks at the record. A picture takes a second at least; a wait of 25 s costs about 50 reads.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 0.5
_PAUSE_GROWTH = 1.3

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?', re.IGNORECASE | re.ASCII)


def preferred_wait(request: Request) -> timedelta | None:
    """What the caller prefers, capped. A preference that does not parse is none (RFC 7240, 2)."""
    preferences = (part.strip() for part in (request.header("prefer") or "").split(","))
    # The first of several counts (RFC 7240, 2).
    wait = next((match for part in preferences if (match := _WAIT.fullmatch(part))), None)
    return min(timedelta(seconds=int(wait[1])), LONGEST_WAIT) if wait else None


def wait_for_end(
    acceptance: Acceptance, wait: timedelta, request: Request, services: Services, *, since: datetime
) -> Response:
    """200 with the finished task; 202 if it is not done within `wait` of `since`, or the room is full."""
    later = Response(
        HTTPStatus.ACCEPTED, acceptance.answer, {"Location": status_path(request.base_path, acceptance.task_id)}
    )
    token = services.new_id()
    until = since + wait
    try:
        if not services.waiting_room.enter(token, now=services.clock.now(), until=until):
            log.info("wait.refused", task_id=acceptance.task_id)
            return later
        try:
            task = _ended(acceptance, until, services)
        finally:
            _leave(token, services)
    except ServiceUnavailable:
        # The task is accepted all the same, and a second POST of it might make a second one.
        log.warning("wait.failed", task_id=acceptance.task_id)
        return later
    applied = {"Preference-Applied": f"wait={int(wait.total_seconds())}"}
    if task is None:
        return Response(later.status, later.body, {**later.headers, **applied})
    return Response(HTTPStatus.OK, status_view(task, services), applied)


def _ended(acceptance: Acceptance, until: datetime, services: Services) -> Task | None:
    pause_s = _FIRST_PAUSE_S
    while True:
        task = services.tasks.load(acceptance.task_id)
        if task is None or task.run != acceptance.run:
            return None
        if task.is_terminal:
            return task
        left_s = (until - services.clock.now()).total_seconds()
        if left_s <= 0:
            return None
        services.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * _PAUSE_GROWTH, _LONGEST_PAUSE_S)


def _leave(token: str, services: Services) -> None:
    try:
        services.waiting_room.leave(token)
    except ServiceUnavailable:
        # The place falls free by itself at its end.
        log.warning("waiting_room.leave_failed")
