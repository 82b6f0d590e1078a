"""What came to the request topic without `accepted`: validated, recorded, routed and published like any request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sdfleet.domain import names, trace
from sdfleet.domain.task import Failure, JsonObject
from sdfleet.domain.trace import TRACE_HEADER
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.draft import Draft
from sdfleet.domain.wire.reader import parse_object, refuse_deep
from sdfleet.domain.wire.requests import read_direct_message
from sdfleet.errors import (
    FieldError,
    InvalidRequest,
    MalformedMessage,
    ObjectNotFound,
    PayloadTooLarge,
    TaskConflict,
)
from sdfleet.telemetry import logs
from sdfleet_lambdas import composition, kept_letters
from sdfleet_lambdas.acceptance import accept
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.idempotency import message_key
from sdfleet_lambdas.sqs_batch import QueuedMessage, handle_each


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Lambda's entry point: the submission queue's event source mapping."""
    return handle(event, composition.services())


def handle(event: Mapping[str, Any], services: Services) -> dict[str, Any]:
    return handle_each(event, lambda message: _submit(message, services))


def _submit(message: QueuedMessage, services: Services) -> None:
    try:
        body, envelope_attributes = messages.unwrap(message.body)
    except MalformedMessage as error:
        kept_letters.refuse(message, _malformed(error), services, task_id=error.task_id)
        return
    task_id = messages.readable_id(body)
    attributes = {**message.attributes, **envelope_attributes}
    try:
        draft = _read(body, attributes, services)
    except InvalidRequest as error:
        kept_letters.refuse(message, _invalid(error), services, task_id=task_id)
        return
    # Derived, so that a second delivery finds the first one's task.
    origin = messages.publication_id(message.body) or message.message_id
    draft = draft if draft.id is not None else replace(draft, id=f"message-{origin}")
    draft = replace(draft, trace_header=_trace_header(attributes))
    logs.bind(**trace.log_fields(draft.trace_header))
    callback_url = draft.options.callback_url
    try:
        accept(draft, services, idempotency_key=message_key(origin))
    except InvalidRequest as error:
        failure = _invalid(error)
        if any(one.path == draft.at.callback_url for one in error.errors):
            callback_url = None
    except TaskConflict as error:
        failure = Failure("task_conflict", str(error), permanent=True)
    else:
        return
    kept_letters.refuse(
        message,
        failure,
        services,
        task_id=task_id,
        runtime=draft.runtime,
        context=draft.context,
        callback_url=callback_url,
        trace_header=draft.trace_header,
    )


def _trace_header(attributes: Mapping[str, str]) -> str | None:
    return trace.read_header(traceparent=attributes.get("traceparent"), amzn_trace_id=attributes.get(TRACE_HEADER))


def _read(body: JsonObject, attributes: Mapping[str, str], services: Services) -> Draft:
    """Raises:
    InvalidRequest: so bad that no draft can be made of it.
    """
    refuse_deep(body)
    outer = body.get("task")
    task: JsonObject = outer if isinstance(outer, dict) else body
    location = task.get("content_location")
    if location is None or "content" in task:
        return read_direct_message(body, attributes)
    try:
        content, problem = _fetch(location, services), None
    except InvalidRequest as error:
        content, problem = {}, error
    filled = {**task, "content": content}
    draft = read_direct_message({"task": filled} if task is outer else filled, attributes)
    if problem is None:
        return draft
    return draft.refused(FieldError(draft.at.content, error.message) for error in problem.errors)


def _fetch(location: Any, services: Services) -> JsonObject:
    """Raises:
    InvalidRequest: it is not in our inbox bucket, not there, too large or no JSON object.
    """
    inbox = services.deployment.inbox_bucket
    try:
        bucket, key = names.parse_s3_url(str(location))
        # Beside them lie dead letters, which hold what others sent.
        if bucket != inbox or not (
            key.startswith(names.UPLOAD_PREFIX) or names.is_inbox_location(str(location), inbox)
        ):
            raise ValueError("another place")
        return parse_object(services.artifacts.get(str(location), max_bytes=messages.MAX_CONTENT_BYTES))
    except ValueError as error:
        raise _bad_location(f"must be an s3:// URL below {names.UPLOAD_PREFIX} in the inbox bucket, {inbox}") from error
    except ObjectNotFound as error:
        raise _bad_location("points at an object that does not exist") from error
    except PayloadTooLarge as error:
        raise _bad_location(f"points at more than {messages.MAX_CONTENT_BYTES // 1024 // 1024} MiB") from error


def _bad_location(message: str) -> InvalidRequest:
    return InvalidRequest((FieldError("content_location", f"content_location {message}"),))


def _malformed(error: MalformedMessage) -> Failure:
    return Failure("malformed_message", str(error), permanent=True)


def _invalid(error: InvalidRequest) -> Failure:
    return Failure("invalid_request", str(error), permanent=True)
