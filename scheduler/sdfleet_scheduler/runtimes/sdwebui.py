"""Adapter for the SD WebUI: AUTOMATIC1111 and Forge."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from sdfleet.domain.models import ModelKind
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import JsonObject, TaskType
from sdfleet.telemetry import logs
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import (
    Generation,
    Job,
    LoadedCallback,
    ProgressCallback,
    RuntimeFailure,
    nobody_listens,
)
from sdfleet_scheduler.runtimes.cancellation import to_the_end
from sdfleet_scheduler.runtimes.connection import local_client, translated
from sdfleet_scheduler.runtimes.sdwebui_answer import generation_of
from sdfleet_scheduler.runtimes.sdwebui_catalog import CHECKPOINTS, LIST_TIMEOUT, Catalog, UnknownName
from sdfleet_scheduler.runtimes.sdwebui_failures import OUT_OF_MEMORY, failure_of
from sdfleet_scheduler.runtimes.sdwebui_loading import LOOK, Loading
from sdfleet_scheduler.runtimes.sdwebui_request import WebUiRequest, request_for
from sdfleet_scheduler.runtimes.sdwebui_watch import ServerControl, ServerState, Watch

log = logs.get_logger(__name__)

#: Loading SDXL from a cold disk takes minutes without a step; the longest seen was four, doubled and rounded up.
HANG_AFTER = timedelta(minutes=10)
#: The heartbeat writes progress no more often; each look costs the server some milliseconds, and us two.
WATCH_INTERVAL = timedelta(seconds=2)
#: An interrupted job ends after its current step; ten seconds of it on a slow GPU, tripled.
STOP_WITHIN = timedelta(seconds=30)
#: How often a stopping job is looked at.
STOP_INTERVAL = timedelta(seconds=0.1)
INTERRUPT_INTERVAL = timedelta(seconds=1)
#: One look at the proof job, which goes on meanwhile: the first may load a model for minutes.
PROBE_WITHIN = timedelta(seconds=10)

#: After a proof that failed: the next may load a model again, to the same end.
PROOF_INTERVAL = timedelta(seconds=5)

_PROOF: JsonObject = {"prompt": "", "steps": 1, "width": 64, "height": 64, "seed": 1}


def sdwebui_client(base_url: str) -> httpx.AsyncClient:
    return local_client(base_url)


_READ_AFTER_S = 0.01


class SdWebUiRuntime:
    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        model: str | None = None,
        hang_after: timedelta = HANG_AFTER,
        watch_interval: timedelta = WATCH_INTERVAL,
        stop_within: timedelta = STOP_WITHIN,
        probe_within: timedelta = PROBE_WITHIN,
        keep_models: int | None = None,
        on_loaded: LoadedCallback = nobody_listens,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`model`: proven by `is_ready` (and so loaded) before the first task; None: whatever the server has.

        `keep_models`: so many checkpoints the server keeps in memory; None: as it is configured.
        """
        self._client = client
        self._model = model
        self._hang_after = hang_after
        self._watch_interval = watch_interval
        self._stop_within = stop_within.total_seconds()
        self._probe_within = probe_within.total_seconds()
        self._monotonic = monotonic
        self._catalog = Catalog(client)
        self._control = ServerControl(client)
        self._loading = Loading(self._control, on_loaded, keep=keep_models, monotonic=monotonic)
        self._generating = 0
        #: A job has gone well since the last doubt: a 200 on every route does not mean that a model is loaded.
        self._is_proven = False
        self._proof: asyncio.Task[bool] | None = None
        self._next_proof_at = 0.0
        self._last_state: ServerState | None = None
        #: A job that could not be stopped still has the server; cleared by a proof.
        self._is_stuck = False
        #: Why the server could not prove itself, and how often in a row.
        self.proof_failure: RuntimeFailure | None = None
        self.proofs_failed = 0
        #: Only another process can do more jobs; cleared by a proof.
        self._is_broken = False
        self._arrived: frozenset[ModelKind] = frozenset()
        #: Checkpoints whose hash was looked for after their first job.
        self._hash_sought: set[str] = set()

    @property
    def needs_restart(self) -> bool:
        return self._is_stuck or self._is_broken

    async def memory_used(self) -> int | None:
        return await self._control.memory_used()

    async def is_ready(self) -> bool:
        if await self._control.state() is None:
            self._is_proven = self._is_proven and self._generating > 0
            return False
        if self._generating or self._is_proven:
            return True
        if self._proof is None and self._monotonic() < self._next_proof_at:
            return False
        # One that is not done yet is awaited again: a second would only wait behind it in the server's queue.
        proof = self._proof = self._proof or asyncio.create_task(self._prove())
        await asyncio.wait({proof}, timeout=self._probe_within)
        if not proof.done():
            return False
        self._proof = None
        self._is_proven = proof.result()
        self._is_stuck = self._is_stuck and not self._is_proven
        self._is_broken = self._is_broken and not self._is_proven
        if not self._is_proven:
            self._next_proof_at = self._monotonic() + PROOF_INTERVAL.total_seconds()
        return self._is_proven

    async def _prove(self) -> bool:
        """Make one picture of one step. Never raises, so that it can be left alone."""
        job = Job("proof", "", "sdfleet-proof", TaskType.TEXT_TO_IMAGE, _PROOF, model=self._model)
        try:
            self._catalog.forget()
            await self._loading.configure(is_forge=await self._catalog.is_forge())
            request = await request_for(job, self._catalog)
            await offload(generation_of, (await self._send(request)).content, request)
            self._loading.end(request.checkpoint, None, first_step_at=None)
        except RuntimeFailure as failure:
            log.warning("runtime.proof_failed", code=failure.code, reason=str(failure))
            self.proof_failure, self.proofs_failed = failure, self.proofs_failed + 1
            return False
        self.proof_failure, self.proofs_failed = None, 0
        return True

    async def loaded_model(self) -> str | None:
        """File name of the checkpoint that jobs get when they name none.

        Raises:
            RuntimeFailure: the server does not answer.
        """
        with translated(self._client):
            response = await self._client.get("/sdapi/v1/options", timeout=LIST_TIMEOUT.total_seconds())
        if response.status_code != httpx.codes.OK:
            raise failure_of(response)
        title = _json(response).get("sd_model_checkpoint")
        if not title:
            return None
        try:
            return (await self._catalog.checkpoint(str(title))).file
        except UnknownName:
            return str(title)

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        # The answer of one job is still decoded while the next one runs.
        self._generating += 1
        try:
            generation = await self._generate(job, on_progress)
        except RuntimeFailure as failure:
            self._doubt(failure)
            raise
        finally:
            self._generating -= 1
        self._is_proven = self._is_proven or job.tasktype in (TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE)
        return generation

    async def _generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        if self._is_stuck:
            raise RuntimeFailure.lost("The WebUI is still busy with a job that could not be stopped.")
        if self._arrived:
            # The server looks between two jobs only.
            await job.turn()
        await self._look_for_arrivals()
        request = await request_for(job, self._catalog)
        await job.turn()
        before = self._last_state or await self._control.state()
        self._last_state = None
        switch = await self._loading.begin(request.checkpoint)
        watch = Watch(
            self._control,
            request.task_id,
            interval=self._watch_interval if switch is None else min(self._watch_interval, LOOK),
            hang_after=self._hang_after,
            before=before,
            monotonic=self._monotonic,
        )
        sending = asyncio.create_task(self._send(request, any_status=True))
        watching = asyncio.create_task(watch.until_it_hangs(on_progress))
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await watching
                await self._stop(request, sending)
                minutes = self._hang_after.total_seconds() / 60
                raise RuntimeFailure.lost(f"The WebUI has not moved on for {minutes:g} minutes; it must be restarted.")
            response = await sending
        except asyncio.CancelledError:
            await to_the_end(self._stop(request, sending))
            raise
        finally:
            for task in (sending, watching):
                task.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)
        self._last_state = after = await self._control.state()
        failure = None
        if response.status_code == httpx.codes.OK:
            self._loading.end(request.checkpoint, switch, first_step_at=watch.first_step_at)
        else:
            failure = failure_of(response, option_names=request.option_names)
            if failure.code == OUT_OF_MEMORY:
                # Before the next one begins.
                await self._control.free_memory()
        job.on_free()
        # The next request goes out first: reading half a megabyte of JSON keeps the interpreter for milliseconds.
        await asyncio.sleep(_READ_AFTER_S)
        if watch.saw_interrupt or (after is not None and after.was_interrupted_since(before)):
            raise RuntimeFailure.interrupted("Somebody else interrupted the WebUI; the task runs again.")
        if failure is not None:
            raise failure
        return await offload(generation_of, response.content, await self._with_digest(request))

    def models_arrived(self, kinds: frozenset[ModelKind]) -> None:
        """Files of these kinds are new: the server looks for them before the next job, the first moment it can."""
        self._arrived |= kinds
        if ModelKind.CHECKPOINT in kinds:
            self._hash_sought.clear()

    async def _look_for_arrivals(self) -> None:
        arrived, self._arrived = self._arrived, frozenset()
        try:
            await self._catalog.look_again(arrived)
        except BaseException:
            self._arrived |= arrived
            raise

    async def _with_digest(self, request: WebUiRequest) -> WebUiRequest:
        """The request with its checkpoint's hash, which the server computes when it first loads the file."""
        checkpoint = request.checkpoint
        if checkpoint is None or checkpoint.digest is not None or checkpoint.file in self._hash_sought:
            return request
        # Once: with --no-hashing it never computes one.
        self._hash_sought.add(checkpoint.file)
        self._catalog.forget(CHECKPOINTS)
        try:
            return replace(request, checkpoint=await self._catalog.checkpoint(checkpoint.file))
        except UnknownName:
            # Taken away meanwhile: its name is what can be checked.
            return request

    async def _send(self, request: WebUiRequest, *, any_status: bool = False) -> httpx.Response:
        with translated(self._client):
            response = await self._client.post(
                request.path, content=request.body, headers={"content-type": "application/json"}
            )
        if response.status_code != httpx.codes.OK and not any_status:
            raise failure_of(response, option_names=request.option_names)
        return response

    async def _stop(self, request: WebUiRequest, sending: asyncio.Task[httpx.Response]) -> None:
        """Interrupt our job, and no other, and wait until the server has let go of it."""
        deadline = self._monotonic() + self._stop_within
        interrupt_at = 0.0
        while not sending.done() and self._monotonic() < deadline:
            # A job that still waits for the server's lock cannot be withdrawn: it is interrupted when it runs. Again
            # after a while: where nothing tells our job from another, the first may have come before its beginning.
            if self._monotonic() >= interrupt_at and await self._control.runs(request.task_id):
                await self._control.interrupt()
                interrupt_at = self._monotonic() + INTERRUPT_INTERVAL.total_seconds()
            await asyncio.wait({sending}, timeout=STOP_INTERVAL.total_seconds())
        if not sending.done():
            log.warning("runtime.stop_timed_out", interrupted=interrupt_at > 0)
            self._is_stuck, self._is_proven = True, False

    def _doubt(self, failure: RuntimeFailure) -> None:
        if failure.kind in (FailureKind.TRANSIENT, FailureKind.RUNTIME_LOST):
            self._is_proven = False
            self._is_broken |= failure.needs_restart
            self._last_state = None
            self._loading.forget()
        if failure.kind is FailureKind.RUNTIME_LOST:
            self._catalog.forget()
            self._control.forget()
        if failure.code == "wrong_model":
            self._catalog.forget(CHECKPOINTS)

    async def close(self) -> None:
        if self._proof is not None:
            self._proof.cancel()
            await asyncio.wait({self._proof})
            self._proof = None
        await self._client.aclose()


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
