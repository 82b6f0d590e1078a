"""The API's description: OpenAPI 3.1. A test holds it against the routes."""

from __future__ import annotations

from sdfleet.domain.task import JsonObject
from sdfleet_lambdas.openapi_schemas import SCHEMAS
from sdfleet_lambdas.problem import MEDIA_TYPE

#: What every path behind the API key may answer.
_REFUSED = ("Unauthorized", "TooManyRequests", "Unavailable", "Internal")
_SUBMITTED = ("BadRequest", "Conflict", "TooLarge", "UnsupportedMediaType", *_REFUSED)

_STATUS_OF = {
    "BadRequest": "400",
    "Unauthorized": "401",
    "NotFound": "404",
    "Conflict": "409",
    "TooLarge": "413",
    "UnsupportedMediaType": "415",
    "TooManyRequests": "429",
    "Internal": "500",
    "Unavailable": "503",
}


def document(*, server: str) -> JsonObject:
    """The description for callers who reach the API at `server`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sdfleet",
            "version": "v1alpha2",
            "summary": "Image generation on EC2 GPU fleets",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"apiKey": []}],
        "paths": {**_submission_paths(), **_task_paths(), **_compatibility_paths(), **_open_paths()},
        "components": {
            "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "parameters": _parameters(),
            "responses": _problems(),
            "schemas": SCHEMAS,
        },
    }


def _submission_paths() -> JsonObject:
    later = _json("The task was accepted; it is not done yet.", "Acceptance")
    later["headers"] = {"Location": {"description": "Where its status is.", "schema": {"type": "string"}}}
    return {
        "/v1alpha2": {
            "post": {
                "operationId": "submit",
                "summary": "Submit a task",
                "parameters": [_ref("parameters", "Prefer"), _ref("parameters", "IdempotencyKey")],
                "requestBody": _body("SubmissionV1alpha2"),
                "responses": {
                    "200": _json("Accepted; with `Prefer: wait`, finished.", "Acceptance", "TaskStatus"),
                    "202": later,
                    **_refusals(*_SUBMITTED),
                },
            }
        },
        "/v1alpha1": {
            "post": {
                "operationId": "submitV1alpha1",
                "summary": "Submit a task, routed by its model",
                "parameters": [_ref("parameters", "Prefer"), _ref("parameters", "IdempotencyKey")],
                "requestBody": _body("SubmissionV1alpha1"),
                "responses": {
                    "200": _json("Accepted; with `Prefer: wait`, finished.", "AcceptanceV1alpha1", "TaskStatus"),
                    "202": {**later, "content": _content("AcceptanceV1alpha1")},
                    **_refusals(*_SUBMITTED),
                },
            }
        },
    }


def _task_paths() -> JsonObject:
    return {
        "/v1alpha2/tasks/{id}": {
            "parameters": [_ref("parameters", "TaskId")],
            "get": {
                "operationId": "getTask",
                "summary": "How a task is doing",
                "responses": {
                    "200": _json("The task.", "TaskStatus"),
                    **_refusals("NotFound", *_REFUSED),
                },
            },
            "delete": {
                "operationId": "cancelTask",
                "summary": "Cancel a task",
                "description": "A queued task ends at once, a running one as soon as its instance has interrupted it.",
                "responses": {
                    "202": _json("The task will end, or has.", "TaskStatus"),
                    **_refusals("NotFound", "Conflict", *_REFUSED),
                },
            },
        },
        "/v1alpha2/uploads": {
            "post": {
                "operationId": "createUpload",
                "summary": "Get a link to upload a large input to",
                "requestBody": _body("UploadRequest"),
                "responses": {
                    "200": _json("Send the file there, with these headers, then use `url` in content.", "Upload"),
                    **_refusals("BadRequest", "TooLarge", "UnsupportedMediaType", *_REFUSED),
                },
            }
        },
        "/v1alpha2/runtimes": {
            "get": {
                "operationId": "listRuntimes",
                "summary": "The runtimes and what they serve",
                "responses": {"200": _json("The runtimes.", "Runtimes"), **_refusals(*_REFUSED)},
            }
        },
    }


def _compatibility_paths() -> JsonObject:
    task_id = {"name": "taskId", "in": "query", "required": True, "schema": {"type": "string"}}
    return {
        "/task": {
            "post": {
                "operationId": "submitTask",
                "summary": "Submit a request of the WebUI's own API, as to the EC2 guide's service",
                "parameters": [_ref("parameters", "IdempotencyKey")],
                "requestBody": _body("WebuiRequest"),
                "responses": {"200": _json("Accepted.", "WebuiAcceptance"), **_refusals(*_SUBMITTED)},
            },
            "get": {
                "operationId": "getWebuiTask",
                "summary": "How such a task is doing, in DynamoDB's JSON",
                "parameters": [task_id],
                "responses": {
                    "200": _json("The task.", "WebuiTask"),
                    **_refusals("BadRequest", "NotFound", *_REFUSED),
                },
            },
        }
    }


def _open_paths() -> JsonObject:
    described = {"description": "This document.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "/openapi.json": {
            "get": {
                "operationId": "describe",
                "summary": "This document",
                "security": [],
                "responses": {"200": described, **_refusals("TooManyRequests", "Internal")},
            }
        },
        "/health": {
            "get": {
                "operationId": "health",
                "summary": "Whether the API answers",
                "security": [],
                "responses": {"200": _json("It does.", "Health"), **_refusals("TooManyRequests", "Internal")},
            }
        },
    }


def _parameters() -> JsonObject:
    return {
        "TaskId": {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"$ref": "#/components/schemas/TaskId"},
        },
        "Prefer": {
            "name": "Prefer",
            "in": "header",
            "description": "`wait=N` (RFC 7240): answer with the finished task if it ends within N s, 25 at most.",
            "schema": {"type": "string"},
            "example": "wait=20",
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key never runs twice within a day, and gets the same answer.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        },
    }


def _problems() -> JsonObject:
    retry = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return {
        "BadRequest": _problem("The request is not valid; every bad field is named."),
        "Unauthorized": _problem("No API key, or a wrong one."),
        "NotFound": _problem("There is no such task."),
        "Conflict": _problem("The id or the key stands for other content, or the task has ended already."),
        "TooLarge": _problem("The body is larger than 4 MiB; send large inputs through an upload."),
        "UnsupportedMediaType": _problem("The body is not sent as JSON."),
        "TooManyRequests": {**_problem("Over the limits."), "headers": retry},
        "Internal": _problem("Our fault; it was logged."),
        "Unavailable": {
            **_problem("A service behind the API did not answer; send the request again."),
            "headers": retry,
        },
    }


def _problem(description: str) -> JsonObject:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _refusals(*names: str) -> JsonObject:
    return {_STATUS_OF[name]: _ref("responses", name) for name in names}


def _ref(kind: str, name: str) -> JsonObject:
    return {"$ref": f"#/components/{kind}/{name}"}


def _json(description: str, *schemas: str) -> JsonObject:
    return {"description": description, "content": _content(*schemas)}


def _content(*schemas: str) -> JsonObject:
    references = [_ref("schemas", name) for name in schemas]
    return {"application/json": {"schema": references[0] if len(references) == 1 else {"anyOf": references}}}


def _body(schema: str) -> JsonObject:
    return {"required": True, "content": _content(schema)}
