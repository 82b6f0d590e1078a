"""Where a link may lead: to public addresses, however its host is spelled, resolved or redirected."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest

from guard_harness import (
    METADATA,
    PUBLIC,
    Recorded,
    Resolutions,
    Unreachable,
    a_guard,
    fetched,
    local_guard,
    refusal_of,
)
from sdfleet.domain.addresses import is_public
from sdfleet_scheduler.fetch_guard import MAX_REDIRECTS, FetchGuard
from web_server import a_web_server, answering, redirecting


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
