"""ComfyUI's websocket: one connection, kept open between prompts, that tells each prompt's watch what happens to it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException

from sdfleet.domain.task import JsonObject
from sdfleet.telemetry import logs
from sdfleet_scheduler.runtimes.base import ProgressCallback

log = logs.get_logger(__name__)

#: As for HTTP: a second was seen during a model load.
OPEN_TIMEOUT = timedelta(seconds=20)
#: The type stands at a message's beginning: `{"type": "progress_state", ...`.
_TYPE_WITHIN = 40
#: After these the server writes the history and then says `executing` without a node, which is the real end.
_LAST_EVENTS = ("execution_success", "execution_error", "execution_interrupted")
#: The rest is fetching the files.
_PROGRESS_WHEN_RUN = 0.99
#: A sampler's steps weigh as much as that many other nodes; beyond this it is a slip.
_MAX_WEIGHT = 1_000


class PromptWatch:
    """What the socket has told of one prompt."""

    def __init__(self, prompt_id: str, graph: JsonObject, on_progress: ProgressCallback) -> None:
        self.prompt_id = prompt_id
        #: The server is done with it and its history is written.
        self.has_ended = False
        #: Its last event came; the history may still be empty.
        self.is_ending = False
        self._wake = asyncio.Event()
        self._heard_at = time.monotonic()
        self._on_progress = on_progress
        self._weights = {node_id: _weight(node) for node_id, node in graph.items()}
        self._finished: set[str] = set()
        self._current: str | None = None
        self._share = 0.0
        self._reported = 0.0
        #: What each node took that is done.
        self.node_seconds: dict[str, float] = {}
        self._node_began_at = 0.0
        #: Nodes whose results the server still had.
        self.cached: set[str] = set()

    def heard(self) -> None:
        """It is alive."""
        self._heard_at = time.monotonic()

    @property
    def silence(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self._heard_at)

    def wake(self) -> None:
        self._wake.set()

    async def wait(self, at_most: timedelta) -> None:
        """Until something decisive happened: its end, or the loss of the socket."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most.total_seconds()):
                await self._wake.wait()
        self._wake.clear()

    def take(self, event: str, data: JsonObject) -> None:
        if event in _LAST_EVENTS:
            self._note_time()
            self.is_ending = True
            self.wake()
        elif event == "execution_cached":
            for node_id in data.get("nodes") or ():
                self._weights.pop(node_id, None)
                self.cached.add(node_id)
        elif event == "executing" and data.get("node") is None:
            self.has_ended = True
            self.wake()
        elif event == "executing":
            self._begin(data)
        elif event == "progress":
            self._advance(data.get("value"), data.get("max"))

    def _begin(self, data: JsonObject) -> None:
        self._note_time()
        if self._current is not None:
            self._finished.add(self._current)
        # A node that expands into others runs them under ids of their own, displayed as itself.
        self._current = str(data.get("display_node") or data["node"])
        self._share = 0.0
        self._report()

    def _note_time(self) -> None:
        now = time.monotonic()
        if self._current is not None:
            before = self.node_seconds.get(self._current, 0.0)
            self.node_seconds[self._current] = before + now - self._node_began_at
        self._node_began_at = now

    def _advance(self, value: Any, maximum: Any) -> None:
        if isinstance(value, int | float) and isinstance(maximum, int | float) and maximum > 0:
            self._share = min(value / maximum, 1.0)
            self._report()

    def _report(self) -> None:
        done = sum(self._weights.get(node_id, 0) for node_id in self._finished - {self._current})
        current = self._weights.get(self._current, 0) if self._current is not None else 0
        progress = (done + current * self._share) / max(sum(self._weights.values()), 1)
        if progress > self._reported:
            self._reported = min(progress, _PROGRESS_WHEN_RUN)
            self._on_progress(self._reported)


def _weight(node: JsonObject) -> int:
    steps = node["inputs"].get("steps")
    return max(1, min(steps, _MAX_WEIGHT)) if isinstance(steps, int) else 1


class ComfyUiSocket:
    def __init__(self, url: str) -> None:
        self._url = url
        self._watches: dict[str, PromptWatch] = {}
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._is_refused = False

    @property
    def is_open(self) -> bool:
        return self._reader is not None and not self._reader.done()

    async def open(self) -> bool:
        """Connect unless connected; False if that fails. Messages from before are not replayed by the server."""
        async with self._opening:
            if self.is_open:
                return True
            try:
                connection = await self._connected()
            except (OSError, TimeoutError, WebSocketException, InvalidHandshake) as error:
                # Once an outage: while a prompt is followed, it is tried again four times a second.
                if not self._is_refused:
                    log.warning("comfyui.socket_refused", reason=type(error).__name__)
                self._is_refused = True
                return False
            self._is_refused = False
            self._reader = asyncio.create_task(self._read(connection), name="comfyui socket")
            return True

    async def _connected(self) -> ClientConnection:
        async with asyncio.timeout(OPEN_TIMEOUT.total_seconds()):
            # No pings: a node that holds Python's lock for long is no reason to hang up; the watchdog sees to hangs.
            # No size limit: a text output comes as one message.
            connection = await connect(self._url, compression=None, max_size=None, ping_interval=None, proxy=None)
            try:
                # Its greeting; before that the server may not have us on its list.
                await connection.recv()
            except BaseException:
                connection.transport.abort()
                raise
            return connection

    async def _read(self, connection: ClientConnection) -> None:
        try:
            # A server that was killed ends it without a word; whoever waits is woken and looks for itself.
            with suppress(ConnectionClosed):
                async for message in connection:
                    # Binary messages are previews.
                    if isinstance(message, str):
                        self._dispatch(message)
        finally:
            connection.transport.abort()
            for watch in self._watches.values():
                watch.wake()

    def _dispatch(self, message: str) -> None:
        for watch in self._watches.values():
            # Other clients' events leak to us.
            if watch.prompt_id in message:
                self._tell(watch, message)

    @staticmethod
    def _tell(watch: PromptWatch, message: str) -> None:
        if '"progress_state"' in message[:_TYPE_WITHIN]:
            # Holds all nodes, comes dozens of times a second, and says nothing that the others do not.
            watch.heard()
            return
        try:
            event = json.loads(message)
        except json.JSONDecodeError:
            return
        data = event.get("data") if isinstance(event, dict) else None
        if isinstance(data, dict) and data.get("prompt_id") == watch.prompt_id:
            watch.heard()
            watch.take(str(event.get("type")), data)

    @contextmanager
    def watching(self, watch: PromptWatch) -> Iterator[None]:
        self._watches[watch.prompt_id] = watch
        try:
            yield
        finally:
            del self._watches[watch.prompt_id]

    @property
    def watched(self) -> int:
        """How many prompts of ours are at the server."""
        return len(self._watches)

    def is_watched(self, prompt_id: str) -> bool:
        return prompt_id in self._watches

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
