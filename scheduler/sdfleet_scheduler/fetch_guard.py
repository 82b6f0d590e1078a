"""Fetching what a stranger's link points at, without becoming the stranger's way into our network.

A host name is resolved once, every address it has is vetted, and the connection goes to the vetted address: a name
that answers differently the second time (DNS rebinding) gains nothing. Each redirect starts from the beginning.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import cache

import httpx

from sdfleet.domain.addresses import is_named, is_public
from sdfleet.errors import SdfleetError

#: Host and port to addresses, as text. Raises OSError when the name does not resolve.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

#: As many as curl's users see in practice; browsers give up at 20.
MAX_REDIRECTS = 5
#: Addresses of one name that are tried in turn: two families, two machines.
_MAX_ADDRESSES = 4
#: One address may take this long to answer the connection, so that the next one still has its chance.
_CONNECT_TIMEOUT_S = 5.0
_REDIRECTS = (301, 302, 303, 307, 308)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_OK = 200


class FetchFailed(SdfleetError):
    """The link could not be fetched. The message names the host at most, never the path or the query."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver. It also reads decimal, octal and hexadecimal IPv4 spellings; the result is vetted."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class FetchGuard:
    """Reads http and https links. One instance a process; it keeps no connections and no cookies."""

    def __init__(
        self,
        *,
        allowed_hosts: Iterable[str] = (),
        resolver: Resolver = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        #: `host` or `host:port`: fetched from wherever they resolve to.
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._resolver = resolver
        self._transport = transport or _transport()

    async def get(self, url: str, *, max_bytes: int, within: timedelta) -> bytes:
        """The body behind `url`, redirects followed, all of it `within` that time.

        Raises:
            FetchFailed: refused, not there, too large or too slow.
        """
        host = ""
        try:
            async with asyncio.timeout(within.total_seconds()):
                target = _parsed(url)
                for _ in range(MAX_REDIRECTS + 1):
                    host = target.host
                    body = await self._hop(target, max_bytes)
                    if isinstance(body, bytes):
                        return body
                    target = body
        except TimeoutError:
            raise FetchFailed(f"{host} did not deliver it within {within.total_seconds():g} s") from None
        raise FetchFailed(f"it redirects more than {MAX_REDIRECTS} times")

    async def close(self) -> None:
        await self._transport.aclose()

    async def _hop(self, url: httpx.URL, max_bytes: int) -> bytes | httpx.URL:
        """The body, or where it redirects to."""
        addresses = await self._vetted_addresses(url)
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                return await self._request(url, address, max_bytes)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
            except httpx.TimeoutException:
                raise FetchFailed(f"{url.host} stopped answering") from None
            except (httpx.TransportError, httpx.InvalidURL, UnicodeError):
                raise FetchFailed(f"{url.host} did not answer as an HTTP server does") from None
        raise FetchFailed(f"{url.host} cannot be reached: no connection, or no valid certificate")

    async def _vetted_addresses(self, url: httpx.URL) -> Sequence[str]:
        host, port = _bare_host(url), _port(url)
        is_allowed = is_named(host, port, self._allowed_hosts)
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):
            addresses = ()
        # One message for both: whether an internal name exists is nobody's business.
        if not addresses or not (is_allowed or all(is_public(address) for address in addresses)):
            raise FetchFailed(
                f"{url.host} does not resolve to a public address; inputs come from public hosts, "
                "or from those that the configuration names in inputs.allowedHosts"
            )
        return addresses

    async def _request(self, url: httpx.URL, address: str, max_bytes: int) -> bytes | httpx.URL:
        request = httpx.Request(
            "GET",
            url.copy_with(host=address, fragment=None),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept": "*/*",
                # A compressed body could unfold to more than its size says.
                "Accept-Encoding": "identity",
                "User-Agent": "sdfleet",
            },
            # The address is in the URL; the name is what the certificate must be for.
            extensions={
                "sni_hostname": _bare_host(url),
                "timeout": {"connect": _CONNECT_TIMEOUT_S, "read": None, "write": None, "pool": None},
            },
        )
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return _parsed(response.headers["location"], base=url)
            return await _body(response, url.host, max_bytes)
        finally:
            await response.aclose()


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """Reading them takes a tenth of a second."""
    return httpx.create_ssl_context(trust_env=False)


def _transport() -> httpx.AsyncBaseTransport:
    # No connection is kept: the pool knows connections by address, and two names may share one.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(verify=_trusted_authorities(), trust_env=False, limits=limits)


async def _body(response: httpx.Response, host: str, max_bytes: int) -> bytes:
    if response.status_code != _OK:
        raise FetchFailed(f"{host} answered {response.status_code}")
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchFailed(f"{host} sends it compressed although asked not to; serve it without Content-Encoding")
    too_large = FetchFailed(f"it has more than {max_bytes} bytes")
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    if not body:
        raise FetchFailed(f"{host} answered with nothing")
    return bytes(body)


def _parsed(url: str, *, base: httpx.URL | None = None) -> httpx.URL:
    """Raises:
    FetchFailed: not a URL that is fetched from anywhere.
    """
    try:
        parsed = httpx.URL(url) if base is None else base.join(url)
        parsed.netloc.decode("ascii")
        port = _port(parsed)
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
        raise FetchFailed("it is no valid URL") from None
    if parsed.scheme not in _DEFAULT_PORTS:
        raise FetchFailed("it leads to something else than http or https")
    if not parsed.host or not 0 < port <= _MAX_PORT:
        raise FetchFailed("it names no valid host and port")
    if parsed.userinfo:
        raise FetchFailed("it holds a user name or password; use a presigned link instead")
    return parsed


def _port(url: httpx.URL) -> int:
    return _DEFAULT_PORTS.get(url.scheme, 0) if url.port is None else url.port


def _bare_host(url: httpx.URL) -> str:
    """The host as resolvers and certificates know it: ASCII, lower case, without the root's dot."""
    return url.raw_host.decode("ascii").lower().removesuffix(".")
