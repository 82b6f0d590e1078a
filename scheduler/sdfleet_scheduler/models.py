"""Has the models that a task names on this instance before the task runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import timedelta

from sdfleet.domain.model_names import models_named
from sdfleet.domain.models import READ_AT_START, ModelKind, NamedModel, keys_of, kind_of
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import JsonObject, RuntimeType, TaskType
from sdfleet.errors import ServiceUnavailable
from sdfleet.ports import ModelObject
from sdfleet.telemetry import logs
from sdfleet_scheduler.model_download import DISK_FULL, MODEL_UNAVAILABLE
from sdfleet_scheduler.model_store import TOO_LARGE, ModelsInUse, ModelStore
from sdfleet_scheduler.runtimes.base import RuntimeFailure

log = logs.get_logger(__name__)

#: As long as acceptance remembers that the bucket has a model (wire contract, Requests).
LISTING_AGE = timedelta(minutes=1)
#: For a name that is not in the listing: it may have been uploaded a moment ago, and a refusal is for good.
LISTING_AGE_OF_A_MISS = timedelta(0)
#: The runtime's own model is not there: nothing runs before it is.
RETRY_AT_START = timedelta(seconds=10)

SERVER_BEHIND = "server_restarting"

_EMBEDDINGS = "embeddings/"
_NOTHING = ModelsInUse(None, frozenset(), frozenset())

#: Told of the kinds of files that have just come; must not block.
ArrivalCallback = Callable[[frozenset[ModelKind]], None]
#: Told which files came for a task, and how many seconds that took.
FetchCallback = Callable[[Collection[str], float], None]
#: Told that the server lacks files which it reads at its start alone; whether it will be started again.
BehindCallback = Callable[[], bool]


class Models:
    """Without a store (no model bucket, no model directory, or a runtime without such models) it does nothing.

    What the bucket does not have is left to the runtime: it may have a file of its own, and its adapter refuses what
    it has not, by name.
    """

    def __init__(
        self,
        store: ModelStore | None,
        runtime: RuntimeType,
        *,
        model: str | None = None,
        on_arrival: ArrivalCallback = lambda kinds: None,
        on_fetched: FetchCallback = lambda keys, seconds: None,
        on_behind: BehindCallback = lambda: False,
        server_waits: bool = False,
        retry_at_start: timedelta = RETRY_AT_START,
    ) -> None:
        """`model`: the runtime's static model, or what a dynamic one starts with; it is never evicted.

        `server_waits`: the server does not start before it is told that its files are here.
        """
        self._store = store if runtime in (RuntimeType.SDWEBUI, RuntimeType.COMFYUI) else None
        self._runtime = runtime
        self._model = model
        self._on_arrival = on_arrival
        self._on_fetched = on_fetched
        self._on_behind = on_behind
        self._server_waits = server_waits
        self._retry_at_start = retry_at_start
        self._starting: asyncio.Task[None] | None = None
        self._is_synced = False
        #: Why what the runtime starts with will not come; None: it may.
        self.trouble: str | None = None
        #: Never let go: the server would not find them again if they were evicted and came back.
        self._kept: list[ModelsInUse] = []

    @property
    def is_synced(self) -> bool:
        """Whether the server finds what it reads at its start alone, and its own model."""
        # ComfyUI sees every new file at once; its own model is to be loaded before its first task.
        has_to_wait = self._runtime is RuntimeType.SDWEBUI or self._model is not None
        return self._store is None or not has_to_wait or self._is_synced

    async def start(self) -> None:
        """Tidy the model directory; what the runtime starts with is then fetched while this has returned."""
        if self._store is not None:
            await self._store.start()
            self._starting = asyncio.create_task(self._fetch_at_start(self._store), name="models at start")

    async def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        if self._store is not None:
            await self._store.close()

    async def prepare(self, tasktype: TaskType, content: JsonObject) -> ModelsInUse:
        """Fetch what the request names; the result holds it until its `release`.

        Raises:
            RuntimeFailure: transient, where the bucket does not deliver; permanent, where the models cannot all fit.
        """
        store = self._store
        if store is None:
            return _NOTHING
        try:
            return await self._prepare(store, tasktype, content)
        except ServiceUnavailable as error:
            return self._from_disk(store, tasktype, content, error)

    async def _prepare(self, store: ModelStore, tasktype: TaskType, content: JsonObject) -> ModelsInUse:
        listed = await store.listing(max_age=LISTING_AGE)
        found, missed = self._keys(tasktype, content, listed)
        if missed:
            listed = await store.listing(max_age=LISTING_AGE_OF_A_MISS)
            found, missed = self._keys(tasktype, content, listed)
        for named in missed:
            log.debug("model.not_in_bucket", kind=named.kind)
        begun = time.monotonic()
        held = await store.acquire([listed[key] for key in found])
        if held.arrived:
            self._on_fetched(held.arrived, time.monotonic() - begun)
        try:
            self._take(store, held)
        except RuntimeFailure:
            held.release()
            raise
        return held

    def _take(self, store: ModelStore, held: ModelsInUse) -> None:
        """Have the server see what has come for a request.

        Raises:
            RuntimeFailure: transient; the server is started again for it.
        """
        self._tell(held.arrived)
        behind = self._read_at_start(held.arrived)
        if behind:
            self._kept.append(store.keep(behind))
            if self._on_behind():
                raise RuntimeFailure.transient(
                    SERVER_BEHIND,
                    f"The WebUI reads {behind[0]} only when it starts; it is started again, and then the task runs.",
                )

    def _read_at_start(self, keys: Iterable[str]) -> list[str]:
        if self._runtime is not RuntimeType.SDWEBUI:
            return []
        return sorted(key for key in keys if key.split("/", 1)[0] in READ_AT_START)

    def _from_disk(
        self, store: ModelStore, tasktype: TaskType, content: JsonObject, error: ServiceUnavailable
    ) -> ModelsInUse:
        """While S3 is away: tasks whose models are here go on."""
        found, missed = self._keys(tasktype, content, store.local_keys())
        if missed:
            first = missed[0]
            raise RuntimeFailure.transient(
                MODEL_UNAVAILABLE, f"{first.path}: the model bucket cannot be read just now; the task is tried again."
            ) from error
        return store.keep(found)

    def _keys(
        self, tasktype: TaskType, content: JsonObject, keys: Collection[str]
    ) -> tuple[list[str], list[NamedModel]]:
        """Keys of what the request names, and what is named and not among `keys`."""
        embeddings = [key for key in keys if key.startswith(_EMBEDDINGS)]
        found: list[str] = []
        missed = []
        for named in models_named(tasktype, content, model=self._model, embeddings=embeddings):
            its_keys = keys_of(named, keys, self._runtime)
            found += its_keys
            # The WebUI's upscalers are mostly no files, and it reads the others at its start alone.
            if not its_keys and (named.kind is not ModelKind.UPSCALER or self._runtime is RuntimeType.COMFYUI):
                missed.append(named)
        return found, missed

    def _tell(self, keys: Iterable[str]) -> None:
        kinds = frozenset(kind for key in keys if (kind := kind_of(key)) is not None)
        if kinds:
            self._on_arrival(kinds)

    async def _fetch_at_start(self, store: ModelStore) -> None:
        while True:
            if await self._has_fetched_at_start(store):
                self._is_synced = True
                return
            await asyncio.sleep(self._retry_at_start.total_seconds())

    async def _has_fetched_at_start(self, store: ModelStore) -> bool:
        """False: to be tried again."""
        try:
            held = await self._acquired_at_start(store)
        except ServiceUnavailable as error:
            log.error("models.start_failed", reason=str(error))
            return False
        except RuntimeFailure as failure:
            log.error("models.start_failed", reason=str(failure))
            if failure.code in (DISK_FULL, TOO_LARGE):
                self.trouble = str(failure)
            return failure.kind is FailureKind.PERMANENT
        self._kept.append(held)
        self._tell(held.arrived)
        # Before the server may look: it may be waiting for that.
        await store.mark_synced()
        if self._read_at_start(held.arrived) and not self._server_waits:
            # It may have started before they came.
            self._on_behind()
        return True

    async def _acquired_at_start(self, store: ModelStore) -> ModelsInUse:
        own, further = await self._wanted_at_start(store)
        try:
            return await store.acquire([*own, *further])
        except RuntimeFailure as failure:
            if failure.code != TOO_LARGE or not further:
                raise
            # What can never fit must not keep the instance from what can.
            log.warning("models.left_out", count=len(further), reason=str(failure))
            return await store.acquire(own)

    async def _wanted_at_start(self, store: ModelStore) -> tuple[list[ModelObject], list[ModelObject]]:
        """The runtime's own model, and what its server reads at its start alone."""
        listed = await store.listing(max_age=LISTING_AGE_OF_A_MISS)
        keys: list[str] = []
        if self._model is not None:
            named = NamedModel(ModelKind.CHECKPOINT, self._model, "modelFilename")
            keys = keys_of(named, listed, self._runtime)
            if not keys:
                log.warning("models.own_model_not_in_bucket", model=self._model)
        return [listed[key] for key in keys], [listed[key] for key in self._read_at_start(listed)]
