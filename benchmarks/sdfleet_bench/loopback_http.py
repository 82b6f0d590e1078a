"""An HTTP server for stubs: fast enough not to be what is measured, and no more than the clients here need."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

#: Head of a request; its links and signatures have some hundred bytes.
_MAX_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class StubRequest:
    method: str
    path: str
    query: str
    #: By lower-case name.
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class StubAnswer:
    status: int = HTTPStatus.OK
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    #: What it says of its length where it has no body, as an answer to HEAD.
    length: int | None = None

    def to_bytes(self) -> bytes:
        lines = [
            f"HTTP/1.1 {int(self.status)} {HTTPStatus(self.status).phrase}",
            f"content-type: {self.content_type}",
            f"content-length: {len(self.body) if self.length is None else self.length}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


Answering = Callable[[StubRequest], Awaitable[StubAnswer]]


def json_answer(value: Any, status: int = HTTPStatus.OK) -> StubAnswer:
    return StubAnswer(status, json.dumps(value).encode())


async def serve(answer: Answering) -> None:
    """Serve on a free loopback port, which is printed as the first line, until the process ends."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client may leave in the middle of anything.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read(reader, writer)) is not None:
                writer.write((await answer(request)).to_bytes())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> StubRequest | None:
    """The next request; None when the client has left."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    path, _, query = target.partition("?")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return StubRequest(method, path, query, headers, body)
