"""The API Gateway of local mode: API key, usage plan, size limit, and the real handler behind them.

Status codes are the wire contract's, not API Gateway's own (which answers 403 without a key): in the cloud its
gateway responses are set to the same.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sdfleet.telemetry import logs
from sdfleet_local.proxy_event import HttpRequest, HttpResponse, to_event, to_response
from sdfleet_local.throttle import TokenBucket

log = logs.get_logger(__name__)

Handler = Callable[[dict[str, Any], Any], Any]

#: API Gateway's payload quota.
MAX_BODY_BYTES = 10 * 1024 * 1024
#: API Gateway's integration timeout; the longest wait of the contract is 25 s.
INTEGRATION_TIMEOUT_S = 29.0
#: Requests at work at once: the waiting cap (20) and a burst (50), doubled. Threads start on demand.
MAX_THREADS = 140
#: Documents that are readable without a key (wire contract, Discovery).
OPEN_PATHS = frozenset({"/health", "/openapi.json"})
_TRACE_HEADER = "x-amzn-trace-id"


@dataclass(frozen=True)
class GatewaySettings:
    api_key: str = field(repr=False)
    #: Requests a second, and how many may come at once.
    rate: float
    burst: int


class Gateway:
    """An ASGI application."""

    def __init__(
        self, settings: GatewaySettings, handler: Handler, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._key = settings.api_key.encode()
        self._handler = handler
        self._keyed = TokenBucket(rate=settings.rate, burst=settings.burst, monotonic=monotonic)
        # Whoever has no key must not be able to use up the limit of those who have one.
        self._open = TokenBucket(rate=settings.rate, burst=settings.burst, monotonic=monotonic)
        self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="handler")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        raw = Response(response.body, response.status)
        for name, value in response.headers:
            if name.lower() == "content-length":
                continue
            raw.headers.append(name, value)
        await raw(scope, receive, send)

    async def _answer(self, request: Request) -> HttpResponse:
        # To its end, whatever the answer: a client that is still sending would see a reset connection instead of it.
        body = await _read(request)
        is_open = request.method in ("GET", "HEAD") and request.url.path.rstrip("/") in OPEN_PATHS
        if not is_open and not hmac.compare_digest(request.headers.get("x-api-key", "").encode(), self._key):
            return problem(HTTPStatus.UNAUTHORIZED, "Send the API key in the header x-api-key.")
        retry_after = (self._open if is_open else self._keyed).take()
        if retry_after is not None:
            return problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many requests; try again in {retry_after} s.",
                headers={"Retry-After": str(retry_after)},
            )
        if body is None:
            return problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "The request body is larger than 10 MiB. Send large inputs through POST /v1alpha2/uploads.",
            )
        return await self._invoke(_http_request(request, body))

    async def _invoke(self, request: HttpRequest) -> HttpResponse:
        event = to_event(request)
        context = SimpleNamespace(aws_request_id=event["requestContext"]["requestId"], function_name="api")
        call = asyncio.get_running_loop().run_in_executor(self._pool, self._handler, event, context)
        try:
            # Shielded: a thread cannot be stopped, and what it does (record, publish) has to be finished.
            answer = await asyncio.wait_for(asyncio.shield(call), INTEGRATION_TIMEOUT_S)
            return to_response(answer)
        except TimeoutError:
            log.error("handler.timed_out", path=request.path, method=request.method)
            return problem(HTTPStatus.GATEWAY_TIMEOUT, "The service did not answer in time; try again.")
        except Exception:  # the supervisor of the handlers
            log.exception("handler.failed", path=request.path, method=request.method)
            return problem(HTTPStatus.BAD_GATEWAY, "The service could not handle the request; try again.")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def problem(status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """RFC 9457."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail, "errors": []}
    return HttpResponse(
        int(status),
        (("Content-Type", "application/problem+json"), *(headers or {}).items()),
        json.dumps(body).encode(),
    )


async def _read(request: Request) -> bytes | None:
    """The body; None if it has more than `MAX_BODY_BYTES` (then it was read and thrown away)."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
        else:
            parts.clear()
    return b"".join(parts) if size <= MAX_BODY_BYTES else None


def _http_request(request: Request, body: bytes) -> HttpRequest:
    headers = tuple(request.headers.items())
    if _TRACE_HEADER not in request.headers:
        # As API Gateway: every request belongs to a trace.
        headers = (*headers, (_TRACE_HEADER, f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"))
    return HttpRequest(
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        headers=headers,
        body=body,
        host=request.headers.get("host", "127.0.0.1"),
        source_ip=request.client.host if request.client else "127.0.0.1",
    )
