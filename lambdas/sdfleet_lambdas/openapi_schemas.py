"""The JSON shapes of the API's description (JSON Schema 2020-12)."""

from __future__ import annotations

from typing import Any

from sdfleet.domain import names
from sdfleet.domain.callback import MAX_URL_LENGTH
from sdfleet.domain.task import JsonObject, OutputFormat, RuntimeType, TaskStatus, TaskType
from sdfleet.domain.wire.reader import MAX_ID_LENGTH
from sdfleet.domain.wire.requests import MAX_GROUP_LENGTH, MAX_PRIORITY, MAX_TIMEOUT_S, TASK_APIS
from sdfleet_lambdas.uploads import MAX_UPLOAD_BYTES

_TEXT: JsonObject = {"type": "string"}
_NUMBER: JsonObject = {"type": "number"}
_MAYBE_TEXT: JsonObject = {"type": ["string", "null"]}
_MAYBE_NUMBER: JsonObject = {"type": ["number", "null"]}
_MAYBE_TIME: JsonObject = {"type": ["string", "null"], "format": "date-time"}
_TIME: JsonObject = {"type": "string", "format": "date-time"}
_URLS: JsonObject = {"type": "array", "items": {"type": "string", "format": "uri"}}
_DYNAMODB_TEXT: JsonObject = {"type": "object", "properties": {"S": _TEXT}, "required": ["S"]}


def _object(properties: JsonObject, *, optional: tuple[str, ...] = (), closed: bool = False, **more: Any) -> JsonObject:
    required = [name for name in properties if name not in optional]
    schema: JsonObject = {"type": "object", "properties": properties, "required": required, **more}
    return {**schema, "additionalProperties": False} if closed else schema


def _whole(low: int, high: int) -> JsonObject:
    return {"type": "integer", "minimum": low, "maximum": high}


def _one_of(kind: Any) -> JsonObject:
    return {"type": "string", "enum": [str(member) for member in kind]}


def _reference(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


_PREFIX: JsonObject = {
    "type": "string",
    "default": "output",
    "description": "Directory of the results in the output bucket.",
}

_PRIORITY = (
    "From 1 on: the task does not wait behind the bulk (priority 0) of its own group. It overtakes no other group's "
    "tasks, 1 to 9 mean the same, and without a group it changes nothing."
)

_METADATA = _object(
    {
        "id": {**_reference("TaskId"), "description": "Made for you if it is missing."},
        "runtime": {"type": "string", "description": "As GET /v1alpha2/runtimes lists them."},
        "tasktype": _reference("TaskType"),
        "prefix": _PREFIX,
        "context": {"description": "Any JSON up to 16 KiB; comes back in the notice."},
        "callback_url": {
            "type": "string",
            "format": "uri",
            "maxLength": MAX_URL_LENGTH,
            "description": "https address of yours that the notice is posted to, signed by Standard Webhooks.",
        },
        "priority": {**_whole(0, MAX_PRIORITY), "default": 0, "description": _PRIORITY},
        "timeout_s": _whole(1, MAX_TIMEOUT_S),
        "output_format": _one_of(OutputFormat),
        "group": {
            "type": "string",
            "maxLength": MAX_GROUP_LENGTH,
            "pattern": "^[!-~]+$",
            "description": "The tenant: while it floods the queue, others are served before it.",
        },
    },
    optional=("id", "prefix", "context", "callback_url", "priority", "timeout_s", "output_format", "group"),
    closed=True,
)

_ROUTING = _object(
    {
        "task": _reference("TaskType"),
        "sd_model_checkpoint": {"type": "string", "description": "Routes to the runtime that has this model."},
        "id_task": _reference("TaskId"),
        "save_dir": _PREFIX,
        "image_link": {"type": "string", "description": "Becomes `init_images[0]`."},
    },
    optional=("id_task", "save_dir", "image_link"),
)

_TASK_STATUS = _object(
    {
        "id": _TEXT,
        "runtime": _TEXT,
        "tasktype": _reference("TaskType"),
        "status": _one_of(TaskStatus),
        "attempt": {"type": "integer", "minimum": 1},
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "created_at": _TIME,
        "started_at": _MAYBE_TIME,
        "finished_at": _MAYBE_TIME,
        "queue_s": _MAYBE_NUMBER,
        "run_s": _MAYBE_NUMBER,
        "output_location": _TEXT,
        "image_url": _URLS,
        "image_link": {**_URLS, "description": "https links to `image_url`, made for this answer."},
        "output_url": _MAYBE_TEXT,
        "context": {"description": "As submitted."},
        "callback_url": {"type": "string", "description": "As submitted, if it was; without its query."},
        "error": {"anyOf": [_reference("Failure"), {"type": "null"}]},
    },
    optional=("callback_url",),
)

_RUNTIME = _object(
    {
        "name": _TEXT,
        "type": _one_of(RuntimeType),
        "tasktypes": {"type": "array", "items": _reference("TaskType")},
        "model": _MAYBE_TEXT,
        "dynamic_model": {"type": "boolean"},
        "timeout_s": {"type": "integer"},
        "max_attempts": {"type": "integer"},
    }
)

_UPLOAD_REQUEST = _object(
    {
        "content_type": {
            "type": "string",
            "description": "image/*, video/*, audio/*, application/json or application/octet-stream",
        },
        "size_bytes": _whole(1, MAX_UPLOAD_BYTES),
    },
    closed=True,
)

_PROBLEM = _object(
    {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "errors": {"type": "array", "items": _object({"path": _TEXT, "message": _TEXT})},
    },
    # The gateway's own answers (401, 429) have none.
    optional=("errors",),
)

SCHEMAS: JsonObject = {
    "TaskId": {
        "type": "string",
        "maxLength": MAX_ID_LENGTH,
        "pattern": f"^{names.TASK_ID.pattern}$",
    },
    "TaskType": _one_of(TaskType),
    "SubmissionV1alpha2": _object(
        {"task": _object({"metadata": _METADATA, "content": {"type": "object"}})},
    ),
    "SubmissionV1alpha1": _object({"alwayson_scripts": _ROUTING}),
    "Acceptance": _object({"id_task": _TEXT, "id": _TEXT, "runtime": _TEXT, "output_location": _TEXT}),
    "AcceptanceV1alpha1": _object({"id_task": _TEXT, "sd_model_checkpoint": _TEXT, "output_location": _TEXT}),
    "TaskStatus": _TASK_STATUS,
    "Failure": _object({"code": _TEXT, "message": _TEXT, "permanent": {"type": "boolean"}}),
    "UploadRequest": _UPLOAD_REQUEST,
    "Upload": _object(
        {
            "upload_url": {"type": "string", "format": "uri"},
            "method": {"const": "PUT"},
            "headers": {"type": "object", "additionalProperties": _TEXT},
            "url": {"type": "string", "description": "The s3:// URL to use in content."},
            "expires_s": _NUMBER,
        }
    ),
    "Runtimes": _object({"runtimes": {"type": "array", "items": _RUNTIME}}),
    "WebuiRequest": _object({"api": {"type": "string", "enum": list(TASK_APIS)}, "payload": {"type": "object"}}),
    "WebuiAcceptance": _object({"taskId": _TEXT}),
    "WebuiTask": _object(
        {
            "taskId": _DYNAMODB_TEXT,
            "taskStatus": _object({"S": {"type": "string", "enum": ["waiting", "finished", "failed"]}}),
            "requestData": _DYNAMODB_TEXT,
            "submitTime": _DYNAMODB_TEXT,
            "images": _object({"L": {"type": "array", "items": _DYNAMODB_TEXT}}),
        }
    ),
    "Health": _object({"status": {"const": "ok"}}),
    "Problem": _PROBLEM,
}
