"""Posting to a stranger's address without becoming the stranger's way into our network.

As the scheduler's guard reads links: the name is resolved once, every address it has is vetted, and the connection
goes to a vetted address. A redirect is not followed at all. Standard library only: this is in the Lambda package.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from sdfleet.domain.addresses import is_named, is_public
from sdfleet.domain.callback import POST_TIMEOUT, Target
from sdfleet.errors import SdfleetError

#: Host and port to addresses, as text. Raises OSError when the name does not resolve.
Resolver = Callable[[str, int], Sequence[str]]

#: Addresses of one name that are tried in turn: two families, two machines.
_MAX_ADDRESSES = 4
#: One address may take this long to answer the connection, so that the next one still has its chance.
_CONNECT_TIMEOUT_S = 4.0


class PostFailed(SdfleetError):
    """It could not be posted. The message names the host at most, never the path or the query."""


@dataclass(frozen=True)
class PostAnswer:
    status: int
    #: The header, as it came.
    retry_after: str | None = None


def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver. It also reads decimal, octal and hexadecimal IPv4 spellings; the result is vetted."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def post(
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    *,
    named_hosts: Collection[str] = (),
    resolver: Resolver = resolve,
    trusted: ssl.SSLContext | None = None,
    within: timedelta = POST_TIMEOUT,
) -> PostAnswer:
    """Status and Retry-After; the answer's body is not read. The name's resolution is not counted in `within`.

    `named_hosts` (`host` or `host:port`): posted to wherever they resolve to.

    Raises:
        PostFailed: refused, unreachable or too slow.
    """
    addresses = _vetted_addresses(target, named_hosts, resolver)
    deadline = time.monotonic() + within.total_seconds()
    for address in addresses[:_MAX_ADDRESSES]:
        try:
            connected = socket.create_connection((address, target.port), timeout=_left(deadline, _CONNECT_TIMEOUT_S))
        except OSError:
            continue
        with _Cut(connected, _left(deadline)) as cut:
            try:
                answer = _exchange(connected, target, headers, body, trusted)
                failure = ""
            except ssl.SSLCertVerificationError:
                failure = "has no valid certificate"
            except (OSError, http.client.HTTPException, ValueError):
                failure = "did not answer as an HTTP server does"
        if cut.was_made:
            # Even with an answer: a head that ends with the connection counts as a whole one.
            failure = f"did not answer in {within.total_seconds():g} s"
        if failure:
            raise PostFailed(f"{target.authority} {failure}")
        return answer
    raise PostFailed(f"{target.authority} cannot be reached")


def _vetted_addresses(target: Target, named_hosts: Collection[str], resolver: Resolver) -> Sequence[str]:
    try:
        addresses = resolver(target.host, target.port)
    except (OSError, UnicodeError):
        addresses = ()
    is_own = is_named(target.host, target.port, named_hosts)
    # One message for both: whether an internal name exists is nobody's business.
    if not addresses or not (is_own or all(is_public(address) for address in addresses)):
        raise PostFailed(f"{target.authority} does not resolve to a public address")
    return addresses


def _exchange(
    connected: socket.socket, target: Target, headers: Mapping[str, str], body: bytes, trusted: ssl.SSLContext | None
) -> PostAnswer:
    # The certificate must be for the name; the connection is to the vetted address.
    stream = (
        (trusted or _trusted_authorities()).wrap_socket(connected, server_hostname=target.host)
        if target.scheme == "https"
        else connected
    )
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = stream
    try:
        connection.request("POST", target.path, body=body, headers={**headers, "Host": target.authority})
        response = connection.getresponse()
        return PostAnswer(response.status, response.getheader("Retry-After"))
    finally:
        connection.close()
        stream.close()


class _Cut:
    """Ends a connection at its deadline: a socket's own timeout starts anew with every byte that drips in."""

    def __init__(self, connected: socket.socket, after_s: float) -> None:
        # Of its own: TLS takes the socket over, and closing it in another thread's hands would free its number.
        self._line = connected.dup()
        self._timer = threading.Timer(after_s, self._make)
        self._timer.daemon = True
        self.was_made = False

    def __enter__(self) -> _Cut:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._line.close()

    def _make(self) -> None:
        self.was_made = True
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other side was faster.
            return


def _left(deadline: float, at_most: float = float("inf")) -> float:
    # Zero would mean a socket that never waits.
    return min(max(deadline - time.monotonic(), 0.001), at_most)


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """Reading them takes a tenth of a second."""
    return ssl.create_default_context()
