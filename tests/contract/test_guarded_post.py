"""Where a callback may go, and what its receiver may do to us."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from certificates_for_tests import certificates
from sdfleet.domain.callback import parse_target
from sdfleet_lambdas.guarded_post import PostAnswer, PostFailed, post
from web_server import Answer, WebServer, a_web_server, answering, redirecting

PUBLIC = "93.184.215.14"


async def posted(
    url: str,
    *,
    named_hosts: Sequence[str] = (),
    addresses: Sequence[str] | None = None,
    trusted: ssl.SSLContext | None = None,
    within_s: float = 5.0,
) -> PostAnswer:
    def resolver(host: str, port: int) -> Sequence[str]:
        if addresses is None:
            raise OSError("no such name")
        return addresses

    target = parse_target(url, named_hosts=named_hosts)
    return await asyncio.to_thread(
        post,
        target,
        {"webhook-id": "msg_1", "Content-Type": "application/json"},
        b'{"id": "a"}',
        named_hosts=named_hosts,
        resolver=resolver,
        trusted=trusted,
        within=timedelta(seconds=within_s),
    )


async def refusal_of(url: str, **options: object) -> str:
    with pytest.raises(PostFailed) as caught:
        await posted(url, **options)  # type: ignore[arg-type]
    return str(caught.value)


async def posted_to(server: WebServer, path: str = "/hook", *, within_s: float = 5.0) -> PostAnswer:
    named = [f"127.0.0.1:{server.port}"]
    url = f"http://127.0.0.1:{server.port}{path}"
    return await posted(url, named_hosts=named, addresses=["127.0.0.1"], within_s=within_s)


async def test_the_notice_arrives_with_its_headers_at_the_path_and_query() -> None:
    async with a_web_server(answering("204 No Content")) as server:
        assert await posted_to(server, "/hook?token=1") == PostAnswer(204)
    (request,) = server.requests
    assert request.startswith("POST /hook?token=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in request
    assert request.lower().count("\r\nhost:") == 1
    assert "webhook-id: msg_1\r\n" in request
    assert "Content-Length: 11\r\n" in request


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.8", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"],
)
async def test_a_name_that_resolves_to_an_address_of_ours_is_not_connected_to(address: str) -> None:
    refusal = await refusal_of("https://hooks.example/", addresses=[address])
    assert refusal == "hooks.example does not resolve to a public address"


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    assert "public address" in await refusal_of("https://hooks.example/", addresses=[PUBLIC, "10.0.0.8"])


async def test_a_name_that_does_not_resolve_is_told_in_the_same_words_as_a_private_one() -> None:
    assert await refusal_of("https://hooks.example/") == "hooks.example does not resolve to a public address"


async def test_a_redirect_is_an_answer_and_nobody_goes_there() -> None:
    async with (
        a_web_server(answering()) as secret,
        a_web_server(redirecting(f"http://127.0.0.1:{secret.port}/")) as server,
    ):
        assert (await posted_to(server)).status == 302
        assert secret.requests == []


async def test_the_receiver_says_when_to_come_back() -> None:
    async with a_web_server(answering("503 Service Unavailable", Retry_After="120")) as server:
        assert await posted_to(server) == PostAnswer(503, "120")


async def test_the_certificate_must_be_for_the_name_although_the_connection_is_to_an_address(tmp_path: Path) -> None:
    server_side, client_side = certificates("hooks.example", tmp_path)
    async with a_web_server(answering(), tls=server_side) as server:

        async def to(host: str) -> PostAnswer:
            return await posted(
                f"https://{host}:{server.port}/", named_hosts=[host], addresses=["127.0.0.1"], trusted=client_side
            )

        assert (await to("hooks.example")).status == 200
        with pytest.raises(PostFailed, match="no valid certificate"):
            await to("other.example")


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    server_side, _ = certificates("hooks.example", tmp_path)
    async with a_web_server(answering(), tls=server_side) as server:
        url = f"https://hooks.example:{server.port}/"
        refusal = await refusal_of(url, named_hosts=["hooks.example"], addresses=["127.0.0.1"])
    assert refusal == f"hooks.example:{server.port} has no valid certificate"


async def test_a_second_address_is_tried_when_the_first_does_not_answer() -> None:
    async with a_web_server(answering()) as server:
        url = f"http://127.0.0.2:{server.port}/"
        answer = await posted(url, named_hosts=["127.0.0.2"], addresses=["127.0.0.2", "127.0.0.1"])
    assert answer.status == 200


async def silent(_: bytes, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def dripping(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def continuing(_: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("answer", [silent, dripping, continuing])
async def test_a_receiver_has_so_much_time_in_all(answer: Answer) -> None:
    async with a_web_server(answer) as server:
        began = time.monotonic()
        with pytest.raises(PostFailed, match=r"did not answer in 0.5 s"):
            await posted_to(server, within_s=0.5)
        assert time.monotonic() - began < 3


async def test_the_time_holds_for_the_tls_handshake_too(tmp_path: Path) -> None:
    async with a_web_server(silent) as server:
        refusal = await refusal_of(
            f"https://hooks.example:{server.port}/",
            named_hosts=["hooks.example"],
            addresses=["127.0.0.1"],
            within_s=0.5,
        )
    assert "did not answer in 0.5 s" in refusal


async def test_an_endless_body_is_not_read() -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with a_web_server(endless) as server:
        began = time.monotonic()
        assert (await posted_to(server)).status == 200
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "garbage", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n"]
)
async def test_what_is_no_http_answer_is_a_failed_try(garbage: bytes) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)

    async with a_web_server(answer) as server:
        with pytest.raises(PostFailed, match="did not answer as an HTTP server does"):
            await posted_to(server)


async def test_a_closed_port_is_a_failed_try() -> None:
    async with a_web_server(answering()) as server:
        port = server.port
    refusal = await refusal_of(f"http://127.0.0.1:{port}/", named_hosts=["127.0.0.1"], addresses=["127.0.0.1"])
    assert refusal == f"127.0.0.1:{port} cannot be reached"


async def test_a_failure_never_tells_path_or_query() -> None:
    refusal = await refusal_of("https://hooks.example/secret-path?token=secret", addresses=["10.0.0.1"])
    assert "secret" not in refusal
