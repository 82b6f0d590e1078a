"""What callers are told: acceptances, the status view, the result notice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sdfleet.domain import names
from sdfleet.domain.callback import shown_url, webhook_id
from sdfleet.domain.task import ApiVersion, Failure, JsonObject, Task, TaskStatus
from sdfleet.domain.trace import TRACE_HEADER

#: Attributes of a notice that is posted to a callback address too; the callback queue's filter asks for the first.
CALLBACK_URL = "callback_url"
CALLBACK_ID = "callback_id"
#: Outputs listed in a notice; all of them are in the `.out` object (wire contract, Limits).
MAX_LISTED_OUTPUTS = 64


def acceptance(task: Task, *, output_bucket: str) -> JsonObject:
    """The 200 (or 202) of a POST."""
    location = names.output_location(output_bucket, task.prefix, task.id)
    if task.api_version is ApiVersion.V1ALPHA1:
        return {"id_task": task.id, "sd_model_checkpoint": task.model, "output_location": location}
    return {"id_task": task.id, "id": task.id, "runtime": task.runtime, "output_location": location}


def status_view(task: Task, *, output_bucket: str, image_link: Sequence[str], now: datetime) -> JsonObject:
    """`GET /v1alpha2/tasks/{id}`."""
    started, ended = task.started_at, task.finished_at
    callback_url = task.options.callback_url
    view = {
        "id": task.id,
        "runtime": task.runtime,
        "tasktype": task.tasktype,
        "status": task.status,
        "attempt": min(task.attempt, task.max_attempts),
        "progress": round(task.progress, 3),
        "created_at": _timestamp(task.created_at),
        "started_at": _timestamp(started),
        "finished_at": _timestamp(ended),
        "queue_s": _seconds(task.created_at, started or ended or now),
        "run_s": _seconds(started, ended or now) if started else None,
        "output_location": names.output_location(output_bucket, task.prefix, task.id),
        "image_url": [artifact.url for artifact in task.artifacts],
        "image_link": list(image_link),
        "output_url": task.output_url,
        "context": task.context,
        "error": _error(task.error),
    }
    return view if callback_url is None else {**view, "callback_url": shown_url(callback_url)}


def notice(task: Task, *, image_link: Sequence[str] = ()) -> str:
    """The result notice of a terminal task, whatever its API version."""
    return _notice(
        task.id,
        runtime=task.runtime,
        context=task.context,
        status=task.status,
        image_url=[artifact.url for artifact in task.artifacts],
        image_link=image_link,
        output_url=task.output_url,
        error=task.error,
    )


def refusal_notice(task_id: str, failure: Failure, *, runtime: str | None, context: Any) -> str:
    """The failure notice for a direct message that never became a task."""
    return _notice(task_id, runtime=runtime, context=context, status=TaskStatus.FAILED, error=failure)


def notice_attributes(task: Task) -> dict[str, str]:
    """For filtering subscriptions; with a callback's address also for its delivery."""
    return _attributes(
        task.id,
        runtime=task.runtime,
        succeeded=task.status is TaskStatus.SUCCEEDED,
        callback_url=task.options.callback_url,
        event=task.run,
        trace_header=task.trace_header,
    )


def refusal_attributes(
    task_id: str, *, runtime: str | None, event: str, callback_url: str | None = None, trace_header: str | None = None
) -> dict[str, str]:
    """As `notice_attributes`; `event` names the refused message, the same however often it is refused."""
    return _attributes(
        task_id, runtime=runtime, succeeded=False, callback_url=callback_url, event=event, trace_header=trace_header
    )


def _attributes(
    task_id: str,
    *,
    runtime: str | None,
    succeeded: bool,
    callback_url: str | None,
    event: str,
    trace_header: str | None,
) -> dict[str, str]:
    attributes = {
        "id": task_id,
        "result": "true" if succeeded else "false",
        "runtime": runtime,
        CALLBACK_URL: callback_url,
        CALLBACK_ID: webhook_id(task_id, event) if callback_url else None,
        TRACE_HEADER: trace_header,
    }
    # SNS refuses an empty attribute value.
    return {name: value for name, value in attributes.items() if value}


def _notice(
    task_id: str,
    *,
    runtime: str | None,
    context: Any,
    status: TaskStatus,
    image_url: Sequence[str] = (),
    image_link: Sequence[str] = (),
    output_url: str | None = None,
    error: Failure | None = None,
) -> str:
    body: JsonObject = {
        "id": task_id,
        "result": status is TaskStatus.SUCCEEDED,
        # The contract's word in notices; everywhere else the status is `succeeded`.
        "status": "completed" if status is TaskStatus.SUCCEEDED else status,
        "runtime": runtime,
        "image_url": list(image_url)[:MAX_LISTED_OUTPUTS],
        "image_link": list(image_link)[:MAX_LISTED_OUTPUTS],
        "output_url": output_url,
        "context": context,
    }
    if error is not None:
        body["error"] = _error(error)
    return json.dumps(body, separators=(",", ":"))


def _error(failure: Failure | None) -> JsonObject | None:
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "permanent": failure.permanent}


def _timestamp(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def _seconds(start: datetime | None, end: datetime) -> float | None:
    return round(max(0.0, (end - start).total_seconds()), 3) if start else None
