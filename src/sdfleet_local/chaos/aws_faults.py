"""Between the schedulers and the embedded AWS endpoint: fails, delays, or loses the answer of a share of the calls.

A fault belongs to a call of the SDK, not to one of its attempts: some last for the first attempt only, which the SDK
mends by itself, some for all of them, which the scheduler has to live with.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from sdfleet_local.chaos import raw_http
from sdfleet_local.chaos.raw_http import Connection, Request

SERVICES = ("sqs", "sns", "dynamodb", "s3")

#: How many of a call's attempts a fault meets: the SDK makes three.
_ATTEMPTS_MET = (1, 1, 1, 2, 3)
_DELAY_S = (0.1, 4.0)
#: What names the service: the scope of SigV4's credential, in the header or a presigned link's query.
_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9]+)/aws4_request")


class AwsFault(StrEnum):
    #: Refused before anything was done.
    REFUSED = "refused"
    #: The connection is cut before anything was done.
    CUT = "cut"
    DELAYED = "delayed"
    #: Done, but the answer never arrives: the SDK asks for the same once more.
    ANSWER_LOST = "answer-lost"
    #: Refused because the whole service is away.
    OUTAGE = "outage"


@dataclass
class _Planned:
    fault: AwsFault | None
    attempts_left: int
    delay_s: float


class AwsFaultProxy:
    """Everything but reading `calls` happens on its event loop."""

    def __init__(self, *, seed: int, error_share: float) -> None:
        self._chance = random.Random(f"{seed} aws")
        self._error_share = error_share
        self._planned: dict[str, _Planned] = {}
        self._away_until = dict.fromkeys(SERVICES, 0.0)
        self._upstream: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        #: Attempts by service and what happened to them; None: nothing.
        self.calls: Counter[tuple[str, AwsFault | None]] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{raw_http.port_of(self._server)}" if self._server else ""

    async def start(self) -> None:
        self._server = await raw_http.serve(self._serve)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def connect_to(self, host: str, port: int) -> None:
        """Where the calls go; before it is known all are refused."""
        self._upstream = (host, port)

    async def take_away(self, service: str, *, lasts_s: float) -> None:
        self._away_until[service] = time.monotonic() + lasts_s

    async def _serve(self, connection: Connection) -> None:
        request = await connection.read()
        service = _service_of(request)
        planned = self._plan(request, service)
        self.calls[service, planned.fault] += 1
        if planned.fault in (AwsFault.REFUSED, AwsFault.OUTAGE) or self._upstream is None:
            await connection.answer(HTTPStatus.SERVICE_UNAVAILABLE, *_refusal(service))
            return
        if planned.fault is AwsFault.CUT:
            connection.reset()
            return
        if planned.fault is AwsFault.DELAYED:
            await connection.unless_gone(asyncio.sleep(planned.delay_s))
        answer = await connection.unless_gone(_forward(request, self._upstream))
        if planned.fault is AwsFault.ANSWER_LOST or not answer:
            connection.reset()
        else:
            await connection.write(answer)

    def _plan(self, request: Request, service: str) -> _Planned:
        if time.monotonic() < self._away_until.get(service, 0.0):
            return _Planned(AwsFault.OUTAGE, 1, 0.0)
        call = request.headers.get("amz-sdk-invocation-id", "")
        planned = self._planned.get(call)
        if planned is None:
            is_met = self._chance.random() < self._error_share
            kinds = (AwsFault.REFUSED, AwsFault.CUT, AwsFault.DELAYED, AwsFault.ANSWER_LOST)
            planned = _Planned(
                self._chance.choice(kinds) if is_met else None,
                self._chance.choice(_ATTEMPTS_MET),
                self._chance.uniform(*_DELAY_S),
            )
            if is_met and call:
                self._planned[call] = planned
        if planned.attempts_left == 0:
            return _Planned(None, 0, 0.0)
        planned.attempts_left -= 1
        return planned


async def _forward(request: Request, upstream: tuple[str, int]) -> bytes:
    """The endpoint's whole answer; empty if it gave none."""
    try:
        reader, writer = await asyncio.open_connection(*upstream)
    except OSError:
        return b""
    try:
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name != "connection"]
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1") + request.body)
        await writer.drain()
        return await reader.read(-1)
    except ConnectionError:
        return b""
    finally:
        # Also when the client is gone: the endpoint must not hand a message to nobody for longer than AWS would.
        writer.transport.abort()


def _service_of(request: Request) -> str:
    found = _SCOPE.search(request.headers.get("authorization", "")) or _SCOPE.search(request.target.replace("%2F", "/"))
    return found[1] if found else "s3"


def _refusal(service: str) -> tuple[bytes]:
    if service in ("sqs", "dynamodb"):
        return (b'{"__type":"ServiceUnavailable","message":"The storm."}',)
    if service == "s3":
        return (b"<Error><Code>SlowDown</Code><Message>The storm.</Message></Error>",)
    return (b"<ErrorResponse><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code></Error></ErrorResponse>",)
