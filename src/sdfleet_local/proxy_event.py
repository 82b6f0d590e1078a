"""API Gateway's REST proxy integration: an HTTP request as the event a handler gets, its answer as a response.

Source: API Gateway Developer Guide, "Lambda proxy integrations for REST APIs".
"""

from __future__ import annotations

import base64
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    #: `127.0.0.1:8080`, as the client reached us.
    host: str
    source_ip: str


@dataclass(frozen=True)
class HttpResponse:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


def to_event(request: HttpRequest, *, now: float | None = None) -> dict[str, Any]:
    """The event for `request`; the API has one greedy resource, `/{proxy+}`, and no stage in its paths."""
    query = parse_qsl(request.query, keep_blank_values=True)
    body, is_base64 = _event_body(request.body)
    return {
        "resource": "/{proxy+}",
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(request.headers) or None,
        "multiValueHeaders": _multi(request.headers) or None,
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _multi(tuple(query)) or None,
        "pathParameters": {"proxy": request.path.strip("/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "stage": "local",
            "domainName": request.host,
            "requestId": str(uuid.uuid4()),
            "requestTimeEpoch": int((time.time() if now is None else now) * 1000),
            "identity": {"sourceIp": request.source_ip},
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def to_response(answer: Any) -> HttpResponse:
    """Raises:
    ValueError: the handler's answer is none that API Gateway would pass on.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("statusCode"), int):
        raise ValueError("the handler's answer has no statusCode")
    headers = [(name, str(value)) for name, value in (answer.get("headers") or {}).items()]
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        headers = [header for header in headers if header[0].lower() != name.lower()]
        headers += [(name, str(value)) for value in values]
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    return HttpResponse(answer["statusCode"], tuple(headers), body)


def _event_body(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _multi(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
