"""`/task`, as the EC2 guide's service had it; it answered in DynamoDB's JSON (wire contract, Compatibility)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from sdfleet.domain.task import JsonObject, Task, TaskStatus
from sdfleet.domain.wire.requests import read_task_api
from sdfleet.errors import FieldError, InvalidRequest, ObjectNotFound, PayloadTooLarge
from sdfleet_lambdas.acceptance import accept
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.idempotency import idempotency_key, with_key_checked
from sdfleet_lambdas.json_body import MAX_BODY_BYTES, read_json
from sdfleet_lambdas.proxy import Request, Response
from sdfleet_lambdas.publication import fresh_links
from sdfleet_lambdas.status import find

_STATUS = {
    TaskStatus.QUEUED: "waiting",
    TaskStatus.RUNNING: "waiting",
    TaskStatus.SUCCEEDED: "finished",
    TaskStatus.FAILED: "failed",
    TaskStatus.CANCELLED: "failed",
}
#: A payload that would not fit into Lambda's 6 MB answer once more escaped (quotes double) is left out.
_MAX_ECHOED_BYTES = MAX_BODY_BYTES // 2
_NOT_ECHOED = "{}"


def submit(request: Request, services: Services, _parameters: Mapping[str, str]) -> Response:
    draft = replace(with_key_checked(read_task_api(read_json(request)), request), trace_header=request.trace_header)
    acceptance = accept(draft, services, idempotency_key=idempotency_key(request))
    return Response(HTTPStatus.OK, {"taskId": acceptance.task_id}, is_logged=acceptance.is_new)


def show(request: Request, services: Services, _parameters: Mapping[str, str]) -> Response:
    """Raises:
    InvalidRequest: no taskId.
    TaskNotFound: no such task.
    """
    task_id = request.query.get("taskId")
    if not task_id:
        raise InvalidRequest((FieldError("taskId", "is missing; name the task in the query: /task?taskId=..."),))
    task = find(task_id, services)
    body: JsonObject = {
        "taskId": {"S": task.id},
        "taskStatus": {"S": _STATUS[task.status]},
        "requestData": {"S": _payload(task, services)},
        "submitTime": {"S": task.created_at.isoformat(timespec="milliseconds")},
        "images": {"L": [{"S": link} for link in fresh_links(task.artifacts, services)]},
    }
    return Response(HTTPStatus.OK, body)


def _payload(task: Task, services: Services) -> str:
    try:
        return services.inbox.get(task, max_bytes=_MAX_ECHOED_BYTES).decode()
    except (ObjectNotFound, PayloadTooLarge):
        return _NOT_ECHOED
