"""HTTP connections that are kept open between calls."""

from __future__ import annotations

import os
import select
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from http.client import HTTPResponse
from urllib.parse import SplitResult

from botocore.httpsession import get_cert_path

#: Kept for the next call of each host; more are closed after their use.
IDLE_CONNECTIONS = 32
#: Sent in one piece with the head; a picture is not copied for that.
_SMALL_BYTES = 16 * 1024

_Address = tuple[str, str]
_Idle = dict[_Address, deque[socket.socket]]


class Connections:
    """Safe in threads: a connection is one caller's from its request to the end of the answer."""

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._idle: _Idle = {}
        self._tls: ssl.SSLContext | None = None
        weakref.finalize(self, _close_all, self._idle)

    def request(
        self, url: SplitResult, method: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers (by lower-case name) and body of the answer. `headers` without a length.

        Raises:
            TimeoutError: no answer within the read timeout.
            OSError, http.client.HTTPException: no connection, or it was lost.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {url.path or '/'} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1")
        connection = self._taken(url)
        try:
            if len(body) <= _SMALL_BYTES:
                connection.sendall(head + body)
            else:
                connection.sendall(head)
                connection.sendall(body)
            answer = HTTPResponse(connection, method=method)
            try:
                answer.begin()
                content = answer.read()
            finally:
                # Its own handle; the connection stays open.
                answer.close()
        except BaseException:
            connection.close()
            raise
        self._give_back(url, connection, is_over=answer.will_close)
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, content

    def _taken(self, url: SplitResult) -> socket.socket:
        idle = self._idle.get((url.scheme, url.netloc), ())
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                break
            if _is_quiet(connection):
                return connection
            # Something to read before anything was asked: the server has closed it.
            connection.close()
        return self._opened(url)

    def _give_back(self, url: SplitResult, connection: socket.socket, *, is_over: bool) -> None:
        idle = self._idle.setdefault((url.scheme, url.netloc), deque())
        if is_over or len(idle) >= IDLE_CONNECTIONS:
            connection.close()
        else:
            idle.append(connection)

    def _opened(self, url: SplitResult) -> socket.socket:
        host = url.hostname or ""
        is_tls = url.scheme == "https"
        plain = socket.create_connection((host, url.port or (443 if is_tls else 80)), self._connect_timeout_s)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection = self._context().wrap_socket(plain, server_hostname=host) if is_tls else plain
        except BaseException:
            plain.close()
            raise
        connection.settimeout(self._read_timeout_s)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            # The authorities that the SDK itself would trust.
            self._tls = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True))
        return self._tls


def _is_quiet(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def _close_all(idle: _Idle) -> None:
    for connections in idle.values():
        for connection in connections:
            connection.close()
