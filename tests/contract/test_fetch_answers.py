"""What a link may not answer with: too much, too slowly, or something else than it said."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from certificates_for_tests import certificates
from guard_harness import (
    MIB,
    Recorded,
    Resolutions,
    a_guard,
    fetched,
    local_guard,
    refusal_of,
)
from sdfleet_scheduler.fetch_guard import FetchGuard
from web_server import a_web_server, answering


async def test_a_declared_size_above_the_cap_is_not_even_read() -> None:
    async with a_web_server(answering(body=b"x" * 2000)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert await refusal_of(local_guard(server.port), url, max_bytes=1999) == "it has more than 1999 bytes"


async def test_a_body_exactly_at_the_cap_is_taken() -> None:
    async with a_web_server(answering(body=b"x" * 2000)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert len(await fetched(local_guard(server.port), url, max_bytes=2000)) == 2000


async def test_an_endless_body_is_cut_at_the_cap() -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with a_web_server(endless) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert "more than 1048576 bytes" in await refusal_of(local_guard(server.port), url)


async def test_a_gzip_bomb_is_refused_unopened() -> None:
    bomb = gzip.compress(b"\0" * (8 * MIB))
    async with a_web_server(answering(body=bomb, Content_Encoding="gzip")) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")
    assert "compressed" in refusal
    assert "accept-encoding: identity" in server.requests[0].lower()


async def test_a_body_that_trickles_is_given_up_in_time() -> None:
    async def trickle(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with a_web_server(trickle) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/", within_s=0.1)
    assert refusal == "127.0.0.1 did not deliver it within 0.1 s"


async def test_the_time_is_for_all_redirects_together() -> None:
    async def slowly(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.06)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")

    async with a_web_server(slowly) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/", within_s=0.1)
        assert len(server.requests) <= 2
    assert "within 0.1 s" in refusal


async def test_a_resolver_that_hangs_is_given_up_in_time() -> None:
    async def hanging(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return ()

    assert "within 0.05 s" in await refusal_of(a_guard(hanging, Recorded()), "http://a.example/", within_s=0.05)


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "500 Oops", "204 No Content", "206 Partial"])
async def test_any_answer_but_200_is_a_failure_that_names_it(status: str) -> None:
    async with a_web_server(answering(status)) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/secret?token=1")
    assert refusal == f"127.0.0.1 answered {status[:3]}"


async def test_an_empty_answer_is_a_failure() -> None:
    async with a_web_server(answering()) as server:
        assert "nothing" in await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")


async def test_what_does_not_speak_http_is_a_failure() -> None:
    async def ssh(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    async with a_web_server(ssh) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")
    assert refusal == "127.0.0.1 did not answer as an HTTP server does"


async def test_a_connection_cut_in_the_middle_is_a_failure_and_no_half_picture() -> None:
    async def cut(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    async with a_web_server(cut) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")
    assert refusal == "127.0.0.1 did not answer as an HTTP server does"


async def test_a_port_where_nobody_listens_is_a_failure() -> None:
    async with a_web_server(answering()) as server:
        port = server.port
    assert "cannot be reached" in await refusal_of(local_guard(port), f"http://127.0.0.1:{port}/")


async def test_a_cancelled_fetch_is_cancelled() -> None:
    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with a_web_server(silent) as server:
        fetch = asyncio.create_task(fetched(local_guard(server.port), f"http://127.0.0.1:{server.port}/"))
        await asyncio.sleep(0.02)
        fetch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetch


async def test_the_certificate_must_be_for_the_name_although_the_connection_is_to_an_address(tmp_path: Path) -> None:
    server_side, client_side = certificates("pictures.example", tmp_path)
    async with a_web_server(answering(body=b"picture"), tls=server_side) as server:
        for host, is_served in (("pictures.example", True), ("other.example", False)):
            guard = FetchGuard(
                allowed_hosts=[host],
                resolver=Resolutions(["127.0.0.1"]),
                transport=httpx.AsyncHTTPTransport(verify=client_side, trust_env=False),
            )
            url = f"https://{host}:{server.port}/"
            if is_served:
                assert await fetched(guard, url) == b"picture"
            else:
                assert "no valid certificate" in await refusal_of(guard, url)
