"""Watching a job at the WebUI, and stopping it.

An interrupt carries no id and hits whatever runs; the interrupted job then answers 200 with a partial picture and no
mark. So we interrupt only what is known to be ours, and look at the server's state for the interrupts of others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from sdfleet.telemetry import logs
from sdfleet_scheduler.runtimes.base import ProgressCallback

log = logs.get_logger(__name__)

#: The state is answered in milliseconds, and in some seconds while a model is loaded under the interpreter's lock.
STATE_TIMEOUT = timedelta(seconds=10)
STATE_PATH = "/sdapi/v1/progress?skip_current_image=true"
#: Gigabytes of weights between the GPU's memory and the machine's.
MOVE_TIMEOUT = timedelta(minutes=1)


@dataclass(frozen=True)
class ServerState:
    #: What runs: `scripts_txt2img`, `Batch 1 out of 2`, `extras`; empty when idle.
    job: str
    #: When it began; stays after its end.
    job_timestamp: str
    job_no: int
    sampling_step: int
    #: The job was interrupted or cut short. Stays after its end, until another begins.
    is_interrupted: bool
    is_skipped: bool
    progress: float

    @property
    def place(self) -> tuple[str, int, int]:
        """Moves on while the server works."""
        return self.job_timestamp, self.job_no, self.sampling_step

    def was_interrupted_since(self, before: ServerState | None) -> bool:
        """Whether the job that ran since `before` was interrupted, rather than one before it."""
        if not self.is_interrupted:
            return False
        return before is None or not before.is_interrupted or before.job_timestamp != self.job_timestamp


@dataclass(frozen=True)
class TaskProgress:
    is_active: bool
    progress: float


class ServerControl:
    """The server's small routes. None of them raises for a server that does not answer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        #: Without its page (`--nowebui`) the server has no progress by task.
        self._has_task_progress = True
        #: Made once, as it is sent after every job: making it takes as long as sending it.
        self._state_request = client.build_request("GET", STATE_PATH, timeout=STATE_TIMEOUT.total_seconds())

    def forget(self) -> None:
        """Another server may answer from now on."""
        self._has_task_progress = True

    async def state(self) -> ServerState | None:
        """None: no answer, or not the API's."""
        try:
            response = await self._client.send(self._state_request)
            return _state_of(response.json()) if response.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, KeyError, TypeError, ValueError):
            return None

    async def task_progress(self, task_id: str) -> TaskProgress | None:
        """None: no answer, or none by task (see `has_task_progress`)."""
        body = await self._call("POST", "/internal/progress", {"id_task": task_id, "live_preview": False})
        if not isinstance(body, dict):
            return None
        progress = body.get("progress")
        return TaskProgress(bool(body.get("active")), progress if isinstance(progress, int | float) else 0.0)

    async def runs(self, task_id: str | None) -> bool:
        """Whether the server works on our request now, so that an interrupt hits it and no other."""
        if task_id is None:
            # Upscaling has no id; its job is named so by the server.
            state = await self.state()
            return state is not None and state.job.startswith("extras")
        if self._has_task_progress:
            progress = await self.task_progress(task_id)
            if progress is not None or self._has_task_progress:
                return progress is not None and progress.is_active
        # Nothing tells; our request is in flight, and this server is ours.
        return True

    async def interrupt(self) -> None:
        await self._call("POST", "/sdapi/v1/interrupt")

    async def memory_used(self) -> int | None:
        """Resident memory of the server's process, in bytes."""
        body = await self._call("GET", "/sdapi/v1/memory")
        try:
            return int(body["ram"]["used"])
        except (KeyError, TypeError, ValueError):
            return None

    async def free_memory(self) -> None:
        """Move the loaded checkpoint out of the GPU's memory, which clears that, and back. Between jobs only."""
        for path in ("/sdapi/v1/unload-checkpoint", "/sdapi/v1/reload-checkpoint"):
            if await self._call("POST", path, patience=MOVE_TIMEOUT) is None:
                log.warning("runtime.memory_kept", path=path)
                return
        log.info("runtime.memory_freed")

    async def checkpoints_kept(self) -> int:
        """How many the server keeps in memory."""
        body = await self._call("GET", "/sdapi/v1/options")
        kept = body.get("sd_checkpoints_limit") if isinstance(body, dict) else None
        return int(kept) if isinstance(kept, int | float) and kept >= 1 else 1

    async def keep_checkpoints(self, count: int) -> None:
        """One of them on the GPU, the others in the machine's memory."""
        await self._call(
            "POST", "/sdapi/v1/options", {"sd_checkpoints_limit": count, "sd_checkpoints_keep_in_cpu": True}
        )

    async def _call(self, method: str, path: str, body: Any = None, *, patience: timedelta = STATE_TIMEOUT) -> Any:
        if path.startswith("/internal/") and not self._has_task_progress:
            return None
        try:
            response = await self._client.request(method, path, json=body, timeout=patience.total_seconds())
            if path.startswith("/internal/") and response.status_code in (401, 403, 404, 405):
                self._has_task_progress = False
            return response.json() if response.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, ValueError):
            return None


def _state_of(body: Any) -> ServerState:
    state = body["state"]
    return ServerState(
        job=str(state["job"] or ""),
        job_timestamp=str(state["job_timestamp"]),
        job_no=int(state["job_no"]),
        sampling_step=int(state["sampling_step"]),
        is_interrupted=bool(state["interrupted"] or state.get("stopping_generation")),
        is_skipped=bool(state["skipped"]),
        progress=float(body["progress"] or 0.0),
    )


class Watch:
    """Follows one job: reports its progress, sees others' interrupts, notices when nothing moves."""

    def __init__(
        self,
        control: ServerControl,
        task_id: str | None,
        *,
        interval: timedelta,
        hang_after: timedelta,
        before: ServerState | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`before`: the server's state when the job was not there yet."""
        self._control = control
        self._before = before
        self._task_id = task_id
        self._interval = interval.total_seconds()
        self._hang_after = hang_after.total_seconds()
        self._monotonic = monotonic
        #: Somebody cut the job short while it was seen running.
        self.saw_interrupt = False
        #: When the job was first seen to make a picture rather than to prepare for it.
        self.first_step_at: float | None = None

    async def until_it_hangs(self, on_progress: ProgressCallback) -> None:
        """Returns when the server has not moved on for the time that a hang takes; else runs until cancelled.

        The server answers all the while when it hangs: only its place in the work tells.
        """
        place: tuple[str, int, int] | None = None
        moved_at = self._monotonic()
        while self._monotonic() - moved_at < self._hang_after:
            await asyncio.sleep(self._interval)
            progress = await self._control.task_progress(self._task_id) if self._task_id else None
            state = await self._control.state()
            if state is not None:
                if state.place != place:
                    place, moved_at = state.place, self._monotonic()
                    self._note_step(state)
                if progress is None and state.job:
                    on_progress(_share(state.progress))
                elif progress is not None and progress.is_active:
                    self.saw_interrupt |= state.is_interrupted or state.is_skipped
            if progress is not None and progress.is_active:
                on_progress(_share(progress.progress))

    def _note_step(self, state: ServerState) -> None:
        is_ours = self._before is None or state.job_timestamp != self._before.job_timestamp
        if self.first_step_at is None and is_ours and (state.sampling_step or state.job_no):
            self.first_step_at = self._monotonic()


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
