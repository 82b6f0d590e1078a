"""What a link may not do: lead into our network, last for ever, or fill the memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sdfleet_scheduler.fetch_guard import MAX_REDIRECTS, FetchFailed, FetchGuard, Resolver, is_public
from web_server import a_web_server, answering, redirecting

MIB = 1024 * 1024
METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
PUBLIC = "93.184.215.14"


class Resolutions:
    """A resolver with one list of addresses for each time it is asked; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Recorded(httpx.AsyncBaseTransport):
    """Answers every request itself, and keeps it."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers.pop(0) if self._answers else httpx.Response(200, stream=httpx.ByteStream(b"picture"))


class Unreachable(Recorded):
    """The first address does not take the connection."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.requests:
            self.requests.append(request)
            raise httpx.ConnectError("refused")
        return await super().handle_async_request(request)


async def fetched(guard: FetchGuard, url: str, *, max_bytes: int = MIB, within_s: float = 5.0) -> bytes:
    try:
        return await guard.get(url, max_bytes=max_bytes, within=timedelta(seconds=within_s))
    finally:
        await guard.close()


async def refusal_of(guard: FetchGuard, url: str, *, max_bytes: int = MIB, within_s: float = 5.0) -> str:
    with pytest.raises(FetchFailed) as caught:
        await fetched(guard, url, max_bytes=max_bytes, within_s=within_s)
    return str(caught.value)


def a_guard(resolver: Resolver, transport: httpx.AsyncBaseTransport) -> FetchGuard:
    return FetchGuard(resolver=resolver, transport=transport)


def local_guard(*ports: int) -> FetchGuard:
    """One that may fetch from the test's own servers, and nothing else that is not public."""
    return FetchGuard(allowed_hosts=[f"127.0.0.1:{port}" for port in ports])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.9",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.170.2",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "192.88.99.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fd00::1",
        "fd00:ec2::254",
        "ff02::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:7f00:1:0:0:8000:1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
        "localhost",
        "",
    ],
)
def test_an_address_of_ours_alone_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]
)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://0/",
        METADATA,
        "http://2852039166/",
    ],
)
async def test_no_spelling_of_an_inner_address_is_fetched(url: str) -> None:
    transport = Recorded()
    refusal = await refusal_of(FetchGuard(transport=transport), url)
    assert "does not resolve to a public address" in refusal
    assert transport.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "http:///etc/passwd",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://exa mple.com\n/",
        "http://0177.0.0.1/",
        "http://[::1/",
        "http://[127.0.0.1]:x/",
    ],
)
async def test_what_is_no_web_address_is_refused_without_asking_for_its_host(url: str) -> None:
    resolver, transport = Resolutions([PUBLIC]), Recorded()
    await refusal_of(a_guard(resolver, transport), url)
    assert resolver.asked == []
    assert transport.requests == []


async def test_a_link_with_a_password_is_refused_and_not_repeated() -> None:
    refusal = await refusal_of(a_guard(Resolutions([PUBLIC]), Recorded()), "https://user:hunter2@example.com/")
    assert "user name or password" in refusal
    assert "hunter2" not in refusal


async def test_the_connection_goes_to_the_vetted_address_under_the_hosts_name() -> None:
    transport = Recorded()
    await fetched(a_guard(Resolutions([PUBLIC]), transport), "https://Pictures.Example:8443/a%20b.png?sig=1#top")
    (request,) = transport.requests
    assert str(request.url) == f"https://{PUBLIC}:8443/a%20b.png?sig=1"
    assert request.headers["host"] == "pictures.example:8443"
    assert request.extensions["sni_hostname"] == "pictures.example"


async def test_an_ipv6_address_is_connected_to_as_one() -> None:
    transport = Recorded()
    await fetched(a_guard(Resolutions(["2606:4700:4700::1111"]), transport), "https://pictures.example/")
    assert transport.requests[0].url.host == "2606:4700:4700::1111"


async def test_a_name_is_resolved_once_so_that_a_second_answer_gains_nothing() -> None:
    resolver, transport = Resolutions([PUBLIC], ["127.0.0.1"]), Recorded()
    await fetched(a_guard(resolver, transport), "http://rebinding.example/")
    assert resolver.asked == ["rebinding.example:80"]
    assert [request.url.host for request in transport.requests] == [PUBLIC]


async def test_a_redirect_to_the_same_name_is_vetted_again() -> None:
    resolver = Resolutions([PUBLIC], ["169.254.169.254"])
    transport = Recorded(httpx.Response(302, headers={"location": "/next"}))
    refusal = await refusal_of(a_guard(resolver, transport), "http://rebinding.example/")
    assert "does not resolve to a public address" in refusal
    assert len(transport.requests) == 1


async def test_a_name_with_one_inner_address_among_public_ones_is_refused() -> None:
    transport = Recorded()
    await refusal_of(a_guard(Resolutions([PUBLIC, "10.0.0.1"]), transport), "http://mixed.example/")
    assert transport.requests == []


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    transport = Unreachable()
    assert await fetched(a_guard(Resolutions([PUBLIC, "1.1.1.1"]), transport), "http://two.example/") == b"picture"
    assert [request.url.host for request in transport.requests] == [PUBLIC, "1.1.1.1"]


async def test_whether_an_inner_name_exists_cannot_be_told_from_the_refusal() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    exists = await refusal_of(a_guard(Resolutions(["10.0.0.1"]), Recorded()), "http://db.internal/")
    does_not = await refusal_of(a_guard(unknown, Recorded()), "http://db.internal/")
    assert exists == does_not


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with a_web_server(answering(body=b"picture")) as server:
        assert await fetched(local_guard(server.port), f"http://127.0.0.1:{server.port}/") == b"picture"


async def test_an_allowed_host_is_fetched_wherever_it_is() -> None:
    async with a_web_server(answering(body=b"picture")) as server:
        assert await fetched(FetchGuard(allowed_hosts=["LocalHost"]), f"http://localhost:{server.port}/") == b"picture"


async def test_an_allowed_host_with_a_port_is_allowed_on_that_port_only() -> None:
    async with a_web_server(answering(body=b"picture")) as server:
        guard = FetchGuard(allowed_hosts=[f"127.0.0.1:{server.port + 1}"])
        assert "public address" in await refusal_of(guard, f"http://127.0.0.1:{server.port}/")
        assert server.requests == []


async def test_an_allowed_ipv6_host_stands_in_brackets() -> None:
    guard = FetchGuard(allowed_hosts=["[::1]"], transport=Recorded())
    assert await fetched(guard, "http://[::1]:8080/") == b"picture"


async def test_a_redirect_to_the_metadata_address_is_refused() -> None:
    async with a_web_server(redirecting(METADATA)) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")
    assert refusal.startswith("169.254.169.254 does not resolve to a public address")


@pytest.mark.parametrize("location", ["//169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://2852039166/"])
async def test_no_spelling_of_a_redirect_leads_inside(location: str) -> None:
    async with a_web_server(redirecting(location)) as server:
        assert "public address" in await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://127.0.0.1/", "javascript:0", "http://u:p@a/"])
async def test_a_redirect_to_another_scheme_is_refused(location: str) -> None:
    async with a_web_server(redirecting(location)) as server:
        await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")
        assert len(server.requests) == 1


async def test_a_redirect_is_followed_to_its_end() -> None:
    async with (
        a_web_server(answering(body=b"picture")) as end,
        a_web_server(redirecting(f"http://127.0.0.1:{end.port}/there")) as start,
    ):
        guard = local_guard(start.port, end.port)
        assert await fetched(guard, f"http://127.0.0.1:{start.port}/") == b"picture"
    assert end.requests[0].startswith("GET /there HTTP/1.1")


async def test_redirects_in_a_circle_end() -> None:
    async with a_web_server(redirecting("/again")) as server:
        refusal = await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")
        assert len(server.requests) == MAX_REDIRECTS + 1
    assert f"more than {MAX_REDIRECTS} times" in refusal


async def test_no_cookie_of_one_answer_reaches_the_next_request() -> None:
    async with a_web_server(answering("302 Found", Location="/again", Set_Cookie="session=1; Path=/")) as server:
        await refusal_of(local_guard(server.port), f"http://127.0.0.1:{server.port}/")
    assert all("cookie" not in request.lower() for request in server.requests)


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


def certificates(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a fresh certificate for `name`, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(file)
    return server_side, ssl.create_default_context(cafile=str(file))
