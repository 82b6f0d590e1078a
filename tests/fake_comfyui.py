"""A ComfyUI made of recordings: its websocket on a real port, its HTTP interface through a mock transport."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from sdfleet.domain.task import TaskType
from sdfleet_scheduler.runtimes.base import InputFile, Job, RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui import HISTORY_KEPT, ComfyUiRuntime

RECORDINGS = Path(__file__).parent / "fixtures" / "comfyui"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)

WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 5434396}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "cap/sub/img"}},
}


def recording(name: str) -> Any:
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def a_comfyui_job(*inputs: InputFile, content: dict[str, Any] | None = None, try_id: str | None = None) -> Job:
    return Job(
        task_id="test-pipeline",
        run="run-1",
        try_id=try_id or uuid.uuid4().hex,
        tasktype=TaskType.PIPELINE,
        content=deepcopy(WORKFLOW) if content is None else content,
        inputs=inputs,
    )


@dataclass
class Submitted:
    prompt_id: str
    graph: dict[str, Any]
    body: dict[str, Any]
    was_stopped: asyncio.Event = field(default_factory=asyncio.Event)


#: What happens to a prompt from its start until its history is written.
Play = Callable[["FakeComfyUi", Submitted], Awaitable[None]]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    body: Any


class FakeComfyUi:
    """Plays `plays` in turn, one prompt at a time, then the recorded success."""

    def __init__(self) -> None:
        self.plays: deque[Play] = deque()
        self.history: dict[str, Any] = {}
        #: `(filename, subfolder, type)` of what `/view` has; None: everything.
        self.files: dict[tuple[str, str, str], bytes] | None = None
        #: Answers instead of the usual ones, by method and path.
        self.answers: dict[tuple[str, str], deque[httpx.Response]] = {}
        self.seen: list[Seen] = []
        self.submitted: list[Submitted] = []
        self.running: Submitted | None = None
        self.pending: list[Submitted] = []
        self.sockets: dict[str, ServerConnection] = {}
        self.connections = 0
        self.is_dead = False
        #: As after SIGSTOP: it takes requests and answers none.
        self.is_mute = False
        self._server: Server | None = None
        self._port = 0
        self._worker: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self.was_connected = asyncio.Event()

    async def start(self) -> None:
        self._server = await serve(self._welcome, "127.0.0.1", 0, compression=None)
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        assert self._server is not None
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.wait({self._worker})
        for socket in self.sockets.values():
            socket.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._handle), base_url=f"http://127.0.0.1:{self._port}")

    def kill(self) -> None:
        """As SIGKILL: the websocket ends with 1006, nobody listens, queue and history are lost."""
        self.is_dead = True
        self.pending.clear()
        self.running = None
        self.history.clear()
        self.hang_up()
        assert self._worker is not None
        self._worker.cancel()

    def hang_up(self) -> None:
        """The websocket drops; the server goes on."""
        for socket in self.sockets.values():
            socket.transport.abort()
        self.sockets.clear()

    def answer(self, method: str, path: str, *responses: httpx.Response) -> None:
        self.answers.setdefault((method, path), deque()).extend(responses)

    def bodies(self, path: str) -> list[Any]:
        return [seen.body for seen in self.seen if (seen.method, seen.path) == ("POST", path)]

    async def say(self, client_id: str, event: Any) -> None:
        socket = self.sockets.get(client_id)
        if socket is None:
            return
        await socket.send(event if isinstance(event, bytes) else json.dumps(event))

    async def until_running(self) -> Submitted:
        while self.running is None:
            await asyncio.sleep(0.001)
        return self.running

    async def _welcome(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        client_id = socket.request.path.partition("clientId=")[2]
        self.sockets[client_id] = socket
        self.connections += 1
        status = {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client_id}
        await socket.send(json.dumps({"type": "status", "data": status}))
        self.was_connected.set()
        await socket.wait_closed()

    async def _work(self) -> None:
        while True:
            while not self.pending:
                self._arrived.clear()
                await self._arrived.wait()
            self.running = self.pending.pop(0)
            play = self.plays.popleft() if self.plays else replay()
            await play(self, self.running)
            self.running = None

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        if self.is_dead:
            raise httpx.ConnectError("refused", request=request)
        if self.is_mute:
            await asyncio.Event().wait()
        path = request.url.path
        is_json = request.headers.get("Content-Type") == "application/json"
        body = json.loads(request.content) if is_json else request.content or dict(request.url.params)
        self.seen.append(Seen(request.method, path, body))
        prepared = self.answers.get((request.method, path))
        if prepared:
            return prepared.popleft()
        return self._answer(request.method, path, body)

    def _answer(self, method: str, path: str, body: Any) -> httpx.Response:
        match method, path.strip("/").split("/"):
            case "GET", ["prompt"]:
                return httpx.Response(200, json={"exec_info": {"queue_remaining": len(self.pending)}})
            case "POST", ["prompt"]:
                return self._queue(body)
            case "GET", ["queue"]:
                return httpx.Response(200, json=self._queues())
            case "POST", ["queue"]:
                self.pending = [prompt for prompt in self.pending if prompt.prompt_id not in body["delete"]]
            case "POST", ["interrupt"]:
                if self.running and self.running.prompt_id == body["prompt_id"]:
                    self.running.was_stopped.set()
            case "GET", ["history", prompt_id]:
                found = self.history.get(prompt_id)
                return httpx.Response(200, json={prompt_id: found} if found else {})
            case "POST", ["history"]:
                for prompt_id in body["delete"]:
                    self.history.pop(prompt_id, None)
            case "GET", ["view"]:
                return self._view(body)
            case "POST", ["free"]:
                pass
            case "POST", ["upload", "image"]:
                return self._upload(body)
            case _:
                return httpx.Response(404)
        return httpx.Response(200)

    def _queue(self, body: dict[str, Any]) -> httpx.Response:
        submitted = Submitted(body["prompt_id"], body["prompt"], body)
        self.submitted.append(submitted)
        self.pending.append(submitted)
        self._arrived.set()
        return httpx.Response(200, json={"prompt_id": submitted.prompt_id, "number": 1, "node_errors": {}})

    def _queues(self) -> dict[str, Any]:
        def entry(prompt: Submitted) -> list[Any]:
            return [1, prompt.prompt_id, prompt.graph, {}, []]

        return {
            "queue_running": [entry(self.running)] if self.running else [],
            "queue_pending": [entry(prompt) for prompt in self.pending],
        }

    def _view(self, query: dict[str, str]) -> httpx.Response:
        key = (query["filename"], query["subfolder"], query["type"])
        content = PNG if self.files is None else self.files.get(key)
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    @staticmethod
    def _upload(form: bytes) -> httpx.Response:
        def value(marker: bytes, end: bytes) -> str:
            return form.partition(marker)[2].partition(end)[0].decode()

        name = value(b'filename="', b'"')
        subfolder = value(b'name="subfolder"\r\n\r\n', b"\r\n")
        return httpx.Response(200, json={"name": name, "subfolder": subfolder, "type": "input"})


def replay(events: str = "ws_success", history: str = "history_success", *, pause_s: float = 0) -> Play:
    """The recorded events and history, with the submitted prompt's id in place of the recorded one."""

    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        client_id = prompt.body["client_id"]
        for event in events_for(events, prompt.prompt_id):
            # The server writes the history, and then names no node.
            if isinstance(event, dict) and event["type"] == "executing" and event["data"]["node"] is None:
                conclude(fake, prompt, history)
            await fake.say(client_id, event)
            await asyncio.sleep(pause_s)
        conclude(fake, prompt, history)

    return play


def conclude(fake: FakeComfyUi, prompt: Submitted, history: str, **changes: Any) -> None:
    """Out of the queue and into the history, in one step."""
    entry = next(iter(as_of(prompt.prompt_id, recording(history)["body"]).values()))
    if fake.running is prompt:
        fake.history[prompt.prompt_id] = {**entry, **changes}
        fake.running = None


def with_outputs(outputs: dict[str, Any]) -> Play:
    """A success that made these outputs."""

    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        conclude(fake, prompt, "history_success", outputs=outputs)
        await fake.say(prompt.body["client_id"], the_end(prompt.prompt_id))

    return play


async def until_stopped(fake: FakeComfyUi, prompt: Submitted) -> None:
    """Runs until interrupted."""
    await fake.say(prompt.body["client_id"], {"type": "execution_start", "data": {"prompt_id": prompt.prompt_id}})
    await prompt.was_stopped.wait()
    conclude(fake, prompt, "history_interrupted")
    await fake.say(prompt.body["client_id"], the_end(prompt.prompt_id))


def the_end(prompt_id: str) -> dict[str, Any]:
    return {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}


def events_for(name: str, prompt_id: str) -> list[Any]:
    """A recorded stream's messages; previews as bytes."""
    messages = [message for _, message in recording(name) if "_closed" not in message]
    return [b"\x00\x00\x00\x01" if "_binary" in message else as_of(prompt_id, message) for message in messages]


def as_of(prompt_id: str, recorded: Any) -> Any:
    """A recording with its prompt's id replaced."""
    text = json.dumps(recorded)
    for old in _prompt_ids(recorded):
        text = text.replace(old, prompt_id)
    return json.loads(text)


def _prompt_ids(recorded: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(recorded, dict):
        found |= {value for key, value in recorded.items() if key == "prompt_id" and isinstance(value, str)}
    for item in recorded.values() if isinstance(recorded, dict) else recorded if isinstance(recorded, list) else ():
        found |= _prompt_ids(item)
    return found


async def failure_of(runtime: ComfyUiRuntime, job: Job) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as raised:
        await runtime.generate(job, lambda _: None)
    return raised.value


@asynccontextmanager
async def a_comfyui(
    *, history_kept: int = HISTORY_KEPT, **options: Any
) -> AsyncIterator[tuple[FakeComfyUi, ComfyUiRuntime]]:
    """A server and the adapter for it, with patience fit for tests."""
    fake = FakeComfyUi()
    await fake.start()
    brief = {"stop_within": timedelta(seconds=2), "probe_within": timedelta(seconds=2)}
    runtime = ComfyUiRuntime(fake.client(), history_kept=history_kept, **{**brief, **options})
    try:
        # Nothing here takes a second: a fault is to end the test, not to stop the suite.
        async with asyncio.timeout(10):
            yield fake, runtime
    finally:
        await runtime.close()
        await fake.stop()
