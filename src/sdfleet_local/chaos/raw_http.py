"""As much of HTTP/1.1 as the doubles speak: one request a connection, bodies with a length."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

#: Request line and headers; SigV4 with a session token needs a quarter.
_MAX_HEAD_BYTES = 64 * 1024


class ClientGone(Exception):
    """The other side closed the connection."""


@dataclass(frozen=True)
class Request:
    method: str
    #: Path and query.
    target: str
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        return value if isinstance(value, dict) else {}


class Connection:
    """A client's connection, for its one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> Request:
        """Raises:
        ClientGone: no whole request came.
        """
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
            if "100-continue" in headers.pop("expect", "").lower():
                self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError) as error:
            raise ClientGone from error
        method, target, *_ = [*line.split(" "), "", ""]
        return Request(method, target, headers, body)

    async def unless_gone(self, work: Awaitable[Any], *, within_s: float | None = None) -> Any:
        """The outcome of `work`; None if `within_s` passes first.

        Raises:
            ClientGone: the client left before; `work` is cancelled.
        """
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({task, gone}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                raise ClientGone
            return None
        finally:
            for one in (task, gone):
                one.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    async def answer(self, status: HTTPStatus, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        await self.write(head.encode() + body)

    async def write(self, raw: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(raw)
            await self._writer.drain()

    def reset(self) -> None:
        """Close as a machine that is gone does: without a farewell."""
        peer: socket.socket | None = self._writer.get_extra_info("socket")
        if peer is not None:
            with contextlib.suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.close()
            await self._writer.wait_closed()


async def serve(handle: Callable[[Connection], Awaitable[None]], *, port: int = 0) -> asyncio.Server:
    """Listen on loopback; a handler that ends without an answer closes the connection."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        try:
            await handle(connection)
        except ClientGone:
            connection.reset()
        finally:
            await connection.close()

    return await asyncio.start_server(serve_one, "127.0.0.1", port, limit=_MAX_HEAD_BYTES, reuse_address=True)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
