"""HTTP connections that are kept open between calls, and the least that reads a plain answer from one.

Source: RFC 9112. Whatever is not plain ends the connection and is an error here; the caller has another way.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from botocore.httpsession import get_cert_path

#: Kept for the next call of each host; more are closed after their use.
IDLE_CONNECTIONS = 32
#: Sent in one piece with the head; a picture is not copied for that.
_SMALL_BYTES = 16 * 1024
#: One read of an answer; those of the frequent calls have a kilobyte or two.
_CHUNK_BYTES = 64 * 1024

_Idle = dict[tuple[str, str], deque[socket.socket]]


class UnusualAnswer(ConnectionError):
    """The answer is not a plain success of a stated length."""


@dataclass(frozen=True)
class Success:
    """A 200."""

    #: By lower-case name.
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """Safe in threads: a connection is one caller's from its request to the end of the answer."""

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._idle: _Idle = {}
        self._tls: ssl.SSLContext | None = None
        weakref.finalize(self, _close_all, self._idle)

    def request(self, url: SplitResult, head: str, body: bytes) -> Success:
        """`head`: request line and header fields, each with its line end; the body's length is added.

        Raises:
            TimeoutError: no answer within the read timeout.
            OSError: no connection, or it was lost, or the answer is no plain success.
        """
        sent_first = f"{head}content-length: {len(body)}\r\n\r\n".encode("latin-1")
        connection = self._taken(url)
        try:
            if len(body) <= _SMALL_BYTES:
                connection.sendall(sent_first + body)
            else:
                connection.sendall(sent_first)
                connection.sendall(body)
            answer = _read_success(connection)
        except BaseException:
            connection.close()
            raise
        self._give_back(url, connection, is_over=answer.headers.get("connection", "").lower() == "close")
        return answer

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
        try:
            plain = socket.create_connection((host, url.port or (443 if is_tls else 80)), self._connect_timeout_s)
        except TimeoutError as error:
            # Not one of an answer: nothing has been asked.
            raise ConnectionError(f"no connection to {host}") from error
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


def _read_success(connection: socket.socket) -> Success:
    received = b""
    while (head_end := received.find(b"\r\n\r\n")) < 0:
        received += _chunk(connection)
        if len(received) > 2 * _CHUNK_BYTES:
            raise UnusualAnswer("its head does not end")
    status, *lines = received[:head_end].decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 200"):
        raise UnusualAnswer(status[:40])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "")
    if not length.isdecimal() or "transfer-encoding" in headers or "content-encoding" in headers:
        raise UnusualAnswer("it states no length")
    chunks, missing = [received[head_end + 4 :]], int(length) - (len(received) - head_end - 4)
    while missing > 0:
        chunk = _chunk(connection)
        chunks.append(chunk)
        missing -= len(chunk)
    if missing < 0:
        raise UnusualAnswer("more than the stated length")
    return Success(headers, b"".join(chunks))


def _chunk(connection: socket.socket) -> bytes:
    chunk = connection.recv(_CHUNK_BYTES)
    if not chunk:
        raise ConnectionError("closed before the end of an answer")
    return chunk


def _is_quiet(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def _close_all(idle: _Idle) -> None:
    for connections in idle.values():
        for connection in connections:
            connection.close()
