"""A model's bytes past the SDK: plain answers as they are, and whatever is not one as the SDK has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from certificates_for_tests import certificates
from sdfleet.aws import model_bucket
from sdfleet.aws.clients import Clients
from sdfleet.aws.connections import UnusualAnswer
from sdfleet.aws.model_bucket import S3ModelBucket
from sdfleet.aws.range_connections import BUFFER_BYTES, RangeConnections
from sdfleet.errors import ServiceUnavailable
from sdfleet.ports import ModelObject
from web_server import Answer, WebServer, a_web_server, answering

WEIGHTS = random.Random(5).randbytes(2 * BUFFER_BYTES + 5)
MODEL = ModelObject("Lora/ink wash.safetensors", len(WEIGHTS), '"etag"', datetime(2026, 1, 1, tzinfo=UTC))
HEAD = "GET / HTTP/1.1\r\nhost: localhost\r\n"


def connections(read_timeout_s: float = 5.0) -> RangeConnections:
    return RangeConnections(connect_timeout_s=5.0, read_timeout_s=read_timeout_s)


def everything(pieces: Iterator[bytes | memoryview]) -> bytes:
    return b"".join(bytes(piece) for piece in pieces)


async def read(ranges: RangeConnections, server: WebServer, *, scheme: str = "http", most: int = len(WEIGHTS)) -> bytes:
    url = urlsplit(f"{scheme}://localhost:{server.port}/")
    return await asyncio.to_thread(lambda: everything(ranges.read(url, HEAD, most)))


async def read_of_s3(server: WebServer) -> bytes:
    s3 = Clients(region="us-east-1", endpoint_url=f"http://127.0.0.1:{server.port}", has_credentials=False).s3
    bucket = S3ModelBucket(s3, "models")
    return await asyncio.to_thread(lambda: everything(bucket.read(MODEL, offset=0, size_bytes=len(WEIGHTS))))


def one_after_another(*answers: Answer) -> Answer:
    left = list(answers)

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(head, writer)

    return answer


def breaking_off(after: int) -> Answer:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 206 Partial Content\r\nContent-Length: {len(WEIGHTS)}\r\n\r\n"
        writer.write(head.encode() + WEIGHTS[:after])

    return answer


async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


PLAIN = answering("206 Partial Content", WEIGHTS)


async def test_a_plain_answer_comes_as_it_is() -> None:
    async with a_web_server(PLAIN) as server:
        assert await read(connections(), server) == WEIGHTS


async def test_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_side, _ = certificates("localhost", tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "server.pem"))
    async with a_web_server(PLAIN, tls=server_side) as server:
        assert await read(connections(), server, scheme="https") == WEIGHTS


@pytest.mark.parametrize(
    "answer",
    [
        answering("200 OK", WEIGHTS),
        answering("206 Partial Content", WEIGHTS, Content_Encoding="gzip"),
        answering("206 Partial Content", WEIGHTS + b"more"),
        answering("412 Precondition Failed"),
    ],
    ids=["not a part", "encoded", "too long", "an error"],
)
async def test_an_answer_that_is_not_plain_is_not_read(answer: Answer) -> None:
    async with a_web_server(answer) as server:
        with pytest.raises(UnusualAnswer):
            await read(connections(), server)


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with a_web_server(silent) as server:
        with pytest.raises(BlockingIOError):
            await read(connections(read_timeout_s=0.1), server)


async def test_what_is_not_plain_the_sdk_asks_for_again() -> None:
    error = answering("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>")
    async with a_web_server(one_after_another(error, PLAIN)) as server:
        assert await read_of_s3(server) == WEIGHTS
    ours, sdks = (head.lower() for head in server.requests)
    for head in (ours, sdks):
        assert head.startswith("get /models/lora/ink%20wash.safetensors")
        assert f"range: bytes=0-{len(WEIGHTS) - 1}\r\n" in head
        assert 'if-match: "etag"\r\n' in head
    # Both headers are signed.
    assert "x-amz-signedheaders=host%3bif-match%3brange&" in ours


async def test_a_stream_that_breaks_off_in_the_middle_is_no_end() -> None:
    async with a_web_server(breaking_off(BUFFER_BYTES + 100)) as server:
        with pytest.raises(ServiceUnavailable):
            await read_of_s3(server)


async def test_behind_a_proxy_the_sdk_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **named: object) -> None:
        raise AssertionError("asked past the proxy")

    monkeypatch.setattr(model_bucket, "RangeConnections", refused)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with a_web_server(PLAIN) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await read_of_s3(proxy) == WEIGHTS
    assert proxy.requests[0].startswith("GET http://127.0.0.1")
