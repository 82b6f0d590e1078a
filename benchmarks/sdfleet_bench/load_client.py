"""The client of a load: so little work for a request that the server is what is measured."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LoadClient:
    """Posts JSON to whichever server is free, the last one first, as Lambda chooses among its environments."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._free = deque(ports)
        self._freed = asyncio.Semaphore(len(ports))
        self._connections: dict[int, Connection] = {}

    async def post(self, path: str, body: Any) -> int:
        """The answer's status; waits while every server is busy.

        Raises:
            OSError, EOFError: there was none.
        """
        async with self._freed:
            port = self._free.pop()
            try:
                return await self._post(port, path, json.dumps(body).encode())
            finally:
                self._free.append(port)

    async def _post(self, port: int, path: str, content: bytes) -> int:
        connection = self._connections.pop(port, None) or await asyncio.open_connection("127.0.0.1", port)
        reader, writer = connection
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + content)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            _, _, rest = answer.partition("content-length:")
            await reader.readexactly(int(rest.partition("\r\n")[0]))
        except BaseException:
            writer.close()
            raise
        self._connections[port] = connection
        return int(answer.split(" ", 2)[1])

    async def close(self) -> None:
        for _, writer in self._connections.values():
            writer.close()
            await writer.wait_closed()
