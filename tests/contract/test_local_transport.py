"""httpx on aiohttp's connections, against a server on loopback: the same answers and errors as httpx's own."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
import pytest

from sdfleet.domain.retry import FailureKind
from sdfleet_scheduler.local_transport import LocalClient
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.connection import translated

Answering = Callable[[bytes], bytes | None]


def plain(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Answers each request by a function of its bytes; None: closes the connection without a word."""

    def __init__(self, answering: Answering, *, leaves: bool = False) -> None:
        """`leaves`: closes the connection behind its first answer."""
        self._answering = answering
        self._leaves = leaves
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                for line in request.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        request += await reader.readexactly(int(line.split(b":")[1]))
                self.requests.append(request)
                answer = self._answering(request)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
                if self._leaves:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def connected(server: Server, *, timeout_s: float = 5.0) -> AsyncIterator[httpx.AsyncClient]:
    served: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        await server.serve(reader, writer)
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with LocalClient(f"http://127.0.0.1:{port}", keepalive=timedelta(seconds=3), timeout=timeout_s) as client:
        yield client
    listening.close()
    await asyncio.gather(*(task for task in served if task is not None))


async def test_requests_share_a_connection_and_arrive_as_httpx_wrote_them() -> None:
    server = Server(lambda _: plain(b'{"a": 1}', "content-type: application/json"))
    async with connected(server) as client:
        first = await client.post("/sdapi/v1/txt2img", content=b"body", headers={"content-type": "x/y"})
        await client.get("/view", params={"filename": "a b/ä.png", "type": "output"})
        await client.post("/upload/image", files={"image": ("n.png", b"bytes", "image/png")}, data={"subfolder": "s"})
    assert first.json() == {"a": 1}
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /sdapi/v1/txt2img HTTP/1.1\r\n")
    assert server.requests[0].endswith(b"\r\n\r\nbody")
    assert server.requests[1].startswith(b"GET /view?filename=a+b%2F%C3%A4.png&type=output HTTP/1.1\r\n")
    assert b'filename="n.png"' in server.requests[2]
    assert b"bytes" in server.requests[2]


async def test_a_compressed_answer_is_unpacked_once() -> None:
    server = Server(lambda _: plain(gzip.compress(b"text"), "content-encoding: gzip"))
    async with connected(server) as client:
        assert (await client.get("/")).text == "text"


async def test_a_redirect_is_an_answer() -> None:
    server = Server(lambda _: b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")
    async with connected(server) as client:
        assert (await client.get("/")).status_code == httpx.codes.FOUND
    assert len(server.requests) == 1


async def test_a_name_and_password_of_the_address_are_sent() -> None:
    server = Server(lambda _: plain(b""))
    async with connected(server) as client:
        await client.get(client.base_url.copy_with(userinfo=b"me:secret"))
    assert b"authorization: basic bwu6c2vjcmv0" in server.requests[0].lower()


async def test_a_job_whose_connection_is_lost_is_not_sent_again() -> None:
    server = Server(lambda request: plain(b"") if b"GET" in request else None)
    async with connected(server) as client:
        await client.get("/")
        with pytest.raises(RuntimeFailure, match="in the middle of a request") as caught, translated(client):
            await client.post("/sdapi/v1/txt2img", content=b"{}")
    assert caught.value.kind is FailureKind.RUNTIME_LOST
    assert len(server.requests) == 2


async def test_an_answer_cut_short_is_an_error() -> None:
    server = Server(lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", leaves=True)
    async with connected(server) as client:
        with pytest.raises(httpx.ReadError):
            await client.post("/", content=b"{}")


async def test_nobody_listening_is_a_connect_error() -> None:
    async with connected(Server(lambda _: None)) as client:
        port = client.base_url.port
    async with LocalClient(f"http://127.0.0.1:{port}", keepalive=timedelta(seconds=3), timeout=1.0) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")


async def test_no_answer_in_time_is_a_read_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = Server(lambda _: None)
    server.serve = silent  # type: ignore[method-assign]
    async with connected(server, timeout_s=0.05) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/")
