"""A range of an object from the socket into one buffer.

What bounds a download from a near endpoint is not the network: with the SDK's response each piece that the kernel has
is fetched by Python, and eight readers wait for each other's interpreter dozens of times a mebibyte. Here the kernel
fills the buffer in one call (docs/benchmarks.md, Downloads).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from urllib.parse import SplitResult

from sdfleet.aws.connections import Connections, UnusualAnswer

#: What is handed on at once: the processor's cache holds it from the socket to the file.
BUFFER_BYTES = 256 * 1024
#: A head has some hundred bytes; read in small pieces, for what follows is copied once more.
_HEAD_CHUNK_BYTES = 4 * 1024
_MOST_HEAD_BYTES = 64 * 1024


class RangeConnections(Connections):
    """Safe in threads, as `Connections`; of no use for its other calls."""

    def read(self, url: SplitResult, head: str, most_bytes: int) -> Iterator[memoryview]:
        """The answer's body; each piece lies where the next one will.

        `head`: request line and header fields, each with its line end. A reader that stops in the middle closes the
        generator, and with it the connection.

        Raises:
            OSError: no connection, or it was lost, or the answer is no plain 206 of at most `most_bytes`. Whatever was
                handed on by then is part of the object.
        """
        connection = self._taken(url)
        try:
            connection.sendall(f"{head}\r\n".encode("latin-1"))
            length, first, is_last = _read_head(connection, most_bytes)
            if first:
                yield memoryview(first)
            buffer = memoryview(bytearray(min(BUFFER_BYTES, length)))
            missing = length - len(first)
            while missing:
                filled = _fill(connection, buffer[:missing])
                missing -= filled
                yield buffer[:filled]
        except BaseException:
            connection.close()
            raise
        self._give_back(url, connection, is_over=is_last)

    def _opened(self, url: SplitResult) -> socket.socket:
        connection = super()._opened(url)
        if url.scheme == "http":
            # The kernel's own timeout: with Python's, a call returns as soon as there is anything.
            seconds, rest = divmod(self._read_timeout_s, 1)
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(rest * 1e6))
            )
            connection.settimeout(None)
        return connection


def _fill(connection: socket.socket, buffer: memoryview) -> int:
    """Bytes read into `buffer`, of which it is full unless the connection is slow, or TLS's."""
    # TLS knows no flags, and has records of 16 KiB, each of which is a call.
    flags = 0 if connection.gettimeout() is not None else socket.MSG_WAITALL
    filled = connection.recv_into(buffer, len(buffer), flags)
    if not filled:
        raise ConnectionError("closed in the middle of an object")
    return filled


def _read_head(connection: socket.socket, most_bytes: int) -> tuple[int, bytes, bool]:
    """The body's length, what of it came with the head, and whether the connection ends with it."""
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        chunk = connection.recv(_HEAD_CHUNK_BYTES)
        received += chunk
        if not chunk or len(received) > _MOST_HEAD_BYTES:
            raise UnusualAnswer("its head does not end")
    status, *lines = received[:end].decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 206"):
        raise UnusualAnswer(status[:40])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "")
    first = received[end + 4 :]
    if not length.isdecimal() or "transfer-encoding" in headers or "content-encoding" in headers:
        raise UnusualAnswer("it states no length")
    if not len(first) <= int(length) <= most_bytes:
        raise UnusualAnswer("another length than was asked for")
    return int(length), first, headers.get("connection", "").lower() == "close"
