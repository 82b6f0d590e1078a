"""The adapter for ComfyUI: submits a workflow, follows it by websocket, reads its results; cancels by id alone."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import timedelta

import httpx

from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import JsonObject
from sdfleet.telemetry import logs
from sdfleet_scheduler.runtimes import comfyui_failures
from sdfleet_scheduler.runtimes.base import (
    Generation,
    Job,
    LoadedCallback,
    ProgressCallback,
    RuntimeFailure,
    nobody_listens,
)
from sdfleet_scheduler.runtimes.cancellation import to_the_end
from sdfleet_scheduler.runtimes.comfyui_embeddings import check_embeddings
from sdfleet_scheduler.runtimes.comfyui_following import Follower
from sdfleet_scheduler.runtimes.comfyui_inputs import graph_of, with_own_names, with_uploads
from sdfleet_scheduler.runtimes.comfyui_loading import Loading
from sdfleet_scheduler.runtimes.comfyui_outputs import collect
from sdfleet_scheduler.runtimes.comfyui_server import (
    ComfyUiServer,
    Place,
    ServerUnreachable,
    comfyui_client,
    json_object,
)
from sdfleet_scheduler.runtimes.comfyui_socket import ComfyUiSocket, PromptWatch

__all__ = ["ComfyUiRuntime", "comfyui_client"]

log = logs.get_logger(__name__)


#: No sampler step and no model load is this long without a word, on the slowest supported GPU with a cold disk.
HANG_AFTER = timedelta(minutes=10)
#: KSampler stopped within 0.4 s; a decode or a model load cannot be interrupted and takes up to half a minute.
STOP_WITHIN = timedelta(seconds=30)
#: The probe is milliseconds of work; a server that is still importing its nodes answers late.
PROBE_WITHIN = timedelta(seconds=30)
#: How often a stopped prompt is looked for, and how often told again: the server drops an interrupt that comes
#: just before a prompt's start.
_LOOK_EVERY_S = 0.05
_TELL_EVERY_S = 0.5
#: Ended prompts that stay in the server's history, for a person who asks what ran; with as many waiting to be deleted.
#: ComfyUI itself keeps 10,000 whole workflows in memory.
HISTORY_KEPT = 100
#: All our outputs lie in this folder of ComfyUI's output folder, one folder below it for each run.
OUTPUT_FOLDER = "sdfleet"


class ComfyUiRuntime:
    """Implements `Runtime`. A second `generate` may be begun before the first ends: it waits in ComfyUI's own queue."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        hang_after: timedelta = HANG_AFTER,
        stop_within: timedelta = STOP_WITHIN,
        probe_within: timedelta = PROBE_WITHIN,
        look_every: timedelta = timedelta(seconds=5),
        history_kept: int = HISTORY_KEPT,
        on_loaded: LoadedCallback = nobody_listens,
    ) -> None:
        """`look_every`: how often the server's queue is read while the websocket is silent."""
        self._server = ComfyUiServer(client)
        # Without a client id, a prompt answered from the cache has no outputs.
        self._client_id = uuid.uuid4().hex
        self._socket = ComfyUiSocket(self._server.websocket_url(self._client_id))
        self._follower = Follower(self._server, self._socket, hang_after=hang_after, look_every=look_every)
        self._loading = Loading(on_loaded)
        self._stop_within = stop_within
        self._probe_within = probe_within
        self._history_kept = history_kept
        #: A prompt has run since the start or the last failure: the execution thread lives.
        self._is_proven = False
        #: A prompt that could not be stopped still has the server, or its GPU is lost; cleared by a probe.
        self._is_broken = False
        self._probing = asyncio.Lock()
        #: Why the last probe failed.
        self._probe_failure: str | None = None
        #: Our prompts in the server's history, the oldest first.
        self._ended: list[str] = []
        #: Tidying that nobody waits for, until `close`.
        self._chores: set[asyncio.Task[None]] = set()

    async def is_ready(self) -> bool:
        async with self._probing:
            if self._is_proven or self._socket.watched:
                is_answering = await self._is_answering()
                # Whoever answers after a pause may be another process.
                self._is_proven = self._is_proven and is_answering
                return is_answering
            self._is_proven = await self._probe()
            self._is_broken = self._is_broken and not self._is_proven
            return self._is_proven

    @property
    def needs_restart(self) -> bool:
        return self._is_broken

    async def memory_used(self) -> int | None:
        try:
            return await self._server.memory_used()
        except ServerUnreachable:
            return None

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        # No `job.turn()`: one waits in the server's own queue, which goes from one to the next in a millisecond.
        graph = graph_of(job)
        prompt_id = str(uuid.uuid4())
        try:
            await check_embeddings(graph, self._server)
            graph = await with_uploads(graph, job, self._server)
            graph = with_own_names(graph, f"{OUTPUT_FOLDER}/{job.try_id}-{prompt_id[:8]}")
            watch = PromptWatch(prompt_id, graph, on_progress)
            entry = await self._run(watch, graph)
            job.on_free()
            generation = await self._concluded(entry, graph)
        except ServerUnreachable as error:
            self._is_proven = False
            self._loading.forget()
            raise RuntimeFailure.lost(str(error)) from error
        except RuntimeFailure as failure:
            self._is_proven = self._is_proven and failure.kind is FailureKind.PERMANENT
            self._is_broken |= failure.needs_restart
            if not self._is_proven:
                self._loading.forget()
            if failure.code == comfyui_failures.OUT_OF_MEMORY:
                await self._free_memory()
            raise
        self._is_proven = True
        self._loading.ended(graph, watch)
        return generation

    async def close(self) -> None:
        if self._chores:
            await asyncio.wait(self._chores)
        await self._socket.close()
        await self._server.close()

    async def _run(self, watch: PromptWatch, graph: JsonObject) -> JsonObject:
        """The prompt's history entry. The prompt is at the server only while this runs."""
        await self._socket.open()
        is_over = False
        with self._socket.watching(watch):
            try:
                await self._submit(watch.prompt_id, graph)
                entry = await self._follower.follow(watch)
                is_over = True
                self._forget_later(watch.prompt_id)
                return entry
            finally:
                if not is_over:
                    await to_the_end(self._stop(watch.prompt_id))

    async def _submit(self, prompt_id: str, graph: JsonObject) -> None:
        # To its end even when cancelled: half-sent, it might be queued after we looked whether it is.
        answer = await to_the_end(self._server.submit(graph, prompt_id=prompt_id, client_id=self._client_id))
        if answer.status_code != httpx.codes.OK:
            raise comfyui_failures.refused(answer, graph)
        body = json_object(answer) or {}
        if body.get("node_errors"):
            # ComfyUI would run the outputs that are valid and leave out the others.
            raise comfyui_failures.invalid(body, graph)
        log.debug("comfyui.prompt_queued", prompt_id=prompt_id)

    async def _concluded(self, entry: JsonObject, graph: JsonObject) -> Generation:
        failure = comfyui_failures.ended_badly(entry, graph)
        if failure:
            raise failure
        return await collect(entry, graph, self._server)

    def _forget_later(self, prompt_id: str) -> None:
        """Keep the server's memory bounded, a request for many prompts at once."""
        self._ended.append(prompt_id)
        if len(self._ended) < 2 * self._history_kept:
            return
        oldest, self._ended = self._ended[: self._history_kept], self._ended[self._history_kept :]
        chore = asyncio.create_task(self._forget(oldest), name="comfyui history")
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _forget(self, prompt_ids: list[str]) -> None:
        try:
            await self._server.forget(prompt_ids)
        except ServerUnreachable as error:
            log.warning("comfyui.history_kept", prompts=len(prompt_ids), is_refused=error.is_refused)

    async def _free_memory(self) -> None:
        """Before whatever comes next meets the same full memory."""
        try:
            await self._server.free_memory()
        except ServerUnreachable as error:
            log.warning("comfyui.memory_kept", is_refused=error.is_refused)
        else:
            log.info("runtime.memory_freed")

    async def _stop(self, prompt_id: str) -> None:
        """Have the server be rid of this prompt, and of no other."""
        try:
            async with asyncio.timeout(self._stop_within.total_seconds()):
                await self._stopped(prompt_id)
        except ServerUnreachable as error:
            self._is_proven = False
            # A server that is gone is free of it.
            if not error.is_refused:
                log.warning("comfyui.stop_unanswered", prompt_id=prompt_id)
        except TimeoutError:
            self._is_proven, self._is_broken = False, True
            log.warning("comfyui.stop_timed_out", prompt_id=prompt_id, after_s=self._stop_within.total_seconds())

    async def _stopped(self, prompt_id: str) -> None:
        clock = asyncio.get_running_loop().time
        told_at = None
        while True:
            if told_at is None or clock() - told_at >= _TELL_EVERY_S:
                told_at = clock()
                await self._server.withdraw(prompt_id)
                await self._server.interrupt(prompt_id)
            if await self._server.place_of(prompt_id) is Place.NOWHERE:
                await self._server.forget([prompt_id])
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _is_answering(self) -> bool:
        try:
            async with asyncio.timeout(self._probe_within.total_seconds()):
                return await self._server.is_answering()
        except TimeoutError:
            return False

    async def _probe(self) -> bool:
        """Run a prompt without a model: HTTP answers long after the execution thread has died."""
        graph = _probe_graph()
        watch = PromptWatch(str(uuid.uuid4()), graph, lambda _: None)
        try:
            async with asyncio.timeout(self._probe_within.total_seconds()):
                entry = await self._run(watch, graph)
        except (RuntimeFailure, ServerUnreachable, TimeoutError) as error:
            reason = type(error).__name__
            # Once an outage: a server that is down is probed twice a second.
            if reason != self._probe_failure:
                log.info("comfyui.probe_failed", reason=reason)
            self._probe_failure = reason
            return False
        self._probe_failure = None
        return comfyui_failures.ended_badly(entry, graph) is None


def _probe_graph() -> JsonObject:
    # Its colour is new each time: the cache would answer without executing a node.
    picture = {"width": 16, "height": 16, "batch_size": 1, "color": random.randrange(1 << 24)}
    return {
        "1": {"class_type": "EmptyImage", "inputs": picture},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
