"""A runtime that obeys the storm: speaks the contract of `docs/examples/custom_runtime.py`, one path an instance.

Its picture depends on the task's id alone, so that a result in the wrong folder shows.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus

from sdfleet_local.chaos import raw_http
from sdfleet_local.chaos.raw_http import ClientGone, Connection, Request
from sdfleet_local.chaos.schedule import JOB_SECONDS, FaultKind

#: An answer that is an error comes quickly, as it does from a real server.
_ERROR_AFTER_S = 0.05
#: A server that swaps to disk or shares its GPU.
_SLOWDOWN = 5.0
_SIDE = 16

_JOB_FAULTS = (FaultKind.RUNTIME_ERRORS, FaultKind.RUNTIME_OOM, FaultKind.RUNTIME_GARBAGE)


def picture_of(task_id: str) -> bytes:
    """The PNG that belongs to the task."""
    noise = b"".join(sha256(f"{task_id} {n}".encode()).digest() for n in range(_SIDE * _SIDE * 3 // 32))
    stride = _SIDE * 3
    rows = b"".join(b"\0" + noise[at : at + stride] for at in range(0, len(noise), stride))
    header = _SIDE.to_bytes(4) + _SIDE.to_bytes(4) + bytes((8, 2, 0, 0, 0))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = (len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4) for kind, body in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@dataclass
class Job:
    """One try of a task, as the runtime saw it. Times are monotonic seconds."""

    task_id: str
    instance_id: str
    started_at: float
    ended_at: float | None = None
    #: `answered`, `abandoned` (the scheduler left), `interrupted`, or the fault that met it.
    outcome: str = "running"
    interrupt: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


@dataclass
class _Condition:
    """What one instance's runtime is going through."""

    dead_until: float = 0.0
    hung_until: float = 0.0
    slow_until: float = 0.0
    #: What the next jobs will meet.
    next_faults: list[FaultKind] = field(default_factory=list)
    #: Set when a new fault comes: jobs look again.
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class RuntimeDouble:
    """Everything but `picture_of` and reading `jobs` happens on its event loop."""

    def __init__(self, *, seed: int, longest_job_s: float) -> None:
        self._seed = seed
        self._longest_job_s = longest_job_s
        self._conditions: dict[str, _Condition] = {}
        self._revival: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._port = 0
        #: In the order of their start.
        self.jobs: list[Job] = []

    @property
    def url(self) -> str:
        """With a place for the instance's id."""
        return f"http://127.0.0.1:{self._port}/{{instance_id}}"

    async def start(self) -> None:
        self._server = await raw_http.serve(self._serve, port=self._port)
        self._port = raw_http.port_of(self._server)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def strike(self, kind: FaultKind, instance_id: str, *, lasts_s: float, jobs: int) -> None:
        condition = self._condition(instance_id)
        until = time.monotonic() + lasts_s
        if kind is FaultKind.RUNTIME_DIES:
            condition.dead_until = until
        elif kind is FaultKind.RUNTIME_HANGS:
            condition.hung_until = until
        elif kind is FaultKind.RUNTIME_SLOW:
            condition.slow_until = until
        else:
            condition.next_faults += [kind] * jobs
        self._wake(condition)

    async def strike_all(self, *, lasts_s: float) -> None:
        """Every runtime is gone for a while: connections are refused."""
        if self._revival is not None and not self._revival.done():
            return
        await self.close()
        until = time.monotonic() + lasts_s
        for condition in self._conditions.values():
            condition.dead_until = max(condition.dead_until, until)
            self._wake(condition)
        self._revival = asyncio.create_task(self._revive(lasts_s))

    async def _revive(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.start()

    def is_busy(self, instance_id: str) -> bool:
        """Whether a job is at work there; for any thread."""
        return any(job.ended_at is None and job.instance_id == instance_id for job in reversed(self.jobs[-100:]))

    def _wake(self, condition: _Condition) -> None:
        condition.changed.set()
        condition.changed = asyncio.Event()

    def _condition(self, instance_id: str) -> _Condition:
        return self._conditions.setdefault(instance_id, _Condition())

    async def _serve(self, connection: Connection) -> None:
        request = await connection.read()
        _, instance_id, *rest = [*request.target.split("/", 2), ""]
        condition = self._condition(instance_id)
        route = "/".join(rest).strip("/")
        if route == "generate":
            await self._generate(connection, request, instance_id, condition)
            return
        if not await self._lives(connection, condition):
            connection.reset()
        elif route == "health":
            await connection.answer(HTTPStatus.OK, b"{}")
        elif route == "interrupt":
            task_id = request.json().get("task_id")
            for job in self.jobs:
                if job.ended_at is None and job.instance_id == instance_id and job.task_id == task_id:
                    job.interrupt.set()
            await connection.answer(HTTPStatus.OK, b"{}")
        else:
            await connection.answer(HTTPStatus.NOT_FOUND, b"{}")

    async def _lives(self, connection: Connection, condition: _Condition) -> bool:
        """False when the runtime is dead, or dies after having hung.

        Raises:
            ClientGone: the client did not wait for the end of the hang.
        """
        now = time.monotonic()
        if condition.hung_until > now:
            await connection.unless_gone(asyncio.sleep(condition.hung_until - now))
            return False
        return condition.dead_until <= now

    async def _generate(
        self, connection: Connection, request: Request, instance_id: str, condition: _Condition
    ) -> None:
        job = Job(str(request.json().get("task_id")), instance_id, time.monotonic())
        self.jobs.append(job)
        try:
            await self._work(connection, job, condition)
        except ClientGone:
            job.outcome = "abandoned"
            raise
        finally:
            job.ended_at = time.monotonic()

    async def _work(self, connection: Connection, job: Job, condition: _Condition) -> None:
        fault = condition.next_faults.pop(0) if condition.next_faults else None
        left = _ERROR_AFTER_S if fault else self._seconds(job)
        while left > 0:
            if condition.hung_until > time.monotonic():
                job.outcome = FaultKind.RUNTIME_HANGS
                await self._lives(connection, condition)
                connection.reset()
                return
            if condition.dead_until > time.monotonic():
                job.outcome = FaultKind.RUNTIME_DIES
                connection.reset()
                return
            pace = _SLOWDOWN if condition.slow_until > time.monotonic() else 1.0
            began = time.monotonic()
            await connection.unless_gone(_first(job.interrupt, condition.changed), within_s=left * pace)
            if job.interrupt.is_set():
                job.outcome = "interrupted"
                await connection.answer(HTTPStatus.CONFLICT, _error("interrupted"))
                return
            left -= (time.monotonic() - began) / pace
            if left < 0.001:
                break
        job.outcome = fault or "answered"
        await self._answer(connection, job, fault)

    async def _answer(self, connection: Connection, job: Job, fault: FaultKind | None) -> None:
        if fault is FaultKind.RUNTIME_ERRORS:
            await connection.answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"Internal Server Error")
        elif fault is FaultKind.RUNTIME_OOM:
            await connection.answer(HTTPStatus.INTERNAL_SERVER_ERROR, _error("out_of_memory"))
        else:
            picture = base64.b64encode(picture_of(job.task_id)).decode()
            file = {"name": "1.png", "content_type": "image/png", "base64": picture}
            answer = json.dumps({"files": [file], "output": {"task_id": job.task_id}}).encode()
            # Cut in the middle: neither JSON nor a whole picture.
            await connection.answer(HTTPStatus.OK, answer[: len(answer) // 2] if fault else answer)

    def _seconds(self, job: Job) -> float:
        tries = sum(one.task_id == job.task_id for one in self.jobs)
        chance = random.Random(f"{self._seed} {job.task_id} {tries}")
        return chance.uniform(JOB_SECONDS[0], self._longest_job_s)


async def _first(*events: asyncio.Event) -> bool:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return True
    finally:
        for wait in waits:
            wait.cancel()


def _error(code: str) -> bytes:
    message = {"out_of_memory": "CUDA out of memory."}.get(code, code)
    return json.dumps({"error": {"code": code, "message": message, "permanent": False}}).encode()
