"""API Gateway's REST proxy integration: its event as a request, a response as its answer.

Source: API Gateway Developer Guide, "Lambda proxy integrations for REST APIs".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdfleet.domain import trace
from sdfleet.domain.task import JsonObject
from sdfleet.errors import FieldError, InvalidRequest

Event = Mapping[str, Any]

_TRACE_HEADERS = ("traceparent", "x-amzn-trace-id")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    #: By lower-case name, each value as it came.
    headers: Mapping[str, tuple[str, ...]] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    #: What stands before `path` in the caller's URL: the stage, or a custom domain's base path.
    base_path: str = ""

    @property
    def trace_header(self) -> str | None:
        """The trace that the request belongs to."""
        traceparent, amzn = (self.headers.get(name, (None,))[-1] for name in _TRACE_HEADERS)
        return trace.read_header(traceparent=traceparent, amzn_trace_id=amzn)

    def header(self, name: str) -> str | None:
        """The header's values, joined as RFC 9110 (5.3) says; None if it is not there."""
        values = self.headers.get(name.lower())
        return ", ".join(values) if values else None


@dataclass(frozen=True)
class Response:
    status: int
    body: JsonObject | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Whether a line of the log has told of the request.
    is_logged: bool = False

    def to_event(self) -> dict[str, Any]:
        described = {} if self.body is None else {"Content-Type": "application/json"}
        return {
            "statusCode": int(self.status),
            # Status and links change from one moment to the next.
            "headers": {**described, "Cache-Control": "no-store", **self.headers},
            "body": "" if self.body is None else json.dumps(self.body, separators=(",", ":")),
            "isBase64Encoded": False,
        }


def read(event: Event) -> Request:
    """Raises:
    InvalidRequest: the body is not the base64 it claims to be.
    """
    context = _mapping(event.get("requestContext"))
    path = str(event.get("path") or "/")
    return Request(
        method=str(event.get("httpMethod") or "GET").upper(),
        path=path,
        headers=_headers(event),
        query={name: str(value) for name, value in _mapping(event.get("queryStringParameters")).items()},
        body=_body(event),
        base_path=_base_path(str(context.get("path") or ""), path),
    )


def trace_fields(event: Event) -> dict[str, str]:
    """What log lines say of the request's trace."""
    found: dict[str, str] = {}
    for name, value in _mapping(event.get("headers")).items():
        if value is not None and name.lower() in _TRACE_HEADERS:
            found[name.lower()] = str(value)
    if not found:
        return {}
    return trace.log_fields(
        trace.read_header(traceparent=found.get("traceparent"), amzn_trace_id=found.get("x-amzn-trace-id"))
    )


def request_id(event: Event) -> str:
    """API Gateway's id of the request, as in its access log."""
    return str(_mapping(event.get("requestContext")).get("requestId") or "")


def _headers(event: Event) -> dict[str, tuple[str, ...]]:
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in _mapping(event.get("headers")).items():
        if value is not None:
            headers[name.lower()] = (str(value),)
    for name, values in _mapping(event.get("multiValueHeaders")).items():
        present = tuple(str(value) for value in values or () if value is not None)
        if present:
            headers[name.lower()] = present
    return headers


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        # A lone surrogate is no UTF-8; it is JSON all the same.
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest((FieldError("", "the body is not valid base64"),)) from error


def _base_path(whole: str, path: str) -> str:
    base = whole[: -len(path)] if whole.endswith(path) else ""
    return base.rstrip("/")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
