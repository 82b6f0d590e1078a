"""A web server in the test's own loop that answers exactly what a test wants, well-formed or not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

#: Takes the request's head and the connection; the server closes the connection afterwards.
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class WebServer:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.port = 0
        #: The heads of all requests, in order.
        self.requests: list[str] = []
        self._connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(asyncio.create_task(self._serve(reader, writer)))

    async def close(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head.decode("latin-1"))
            await self._answer(head, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            # The client has what it wanted.
            return
        finally:
            writer.close()


@asynccontextmanager
async def a_web_server(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    server = WebServer(answer)
    listening = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.close()


def answering(status: str = "200 OK", body: bytes = b"", **headers: str) -> Answer:
    """The same answer for every request; header names with `_` for `-`."""

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    return answer


def redirecting(location: str) -> Answer:
    return answering("302 Found", Location=location)
