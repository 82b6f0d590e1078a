"""The instance's model directory: what the bucket has, fetched when it is needed, the longest unused given up."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sdfleet.domain.models import DIRECTORIES, is_safe_key
from sdfleet.ports import ModelBucket, ModelObject
from sdfleet.telemetry import logs
from sdfleet_scheduler.model_download import PART_BYTES, READERS, Downloads
from sdfleet_scheduler.model_settling import clear, identity
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import RuntimeFailure

log = logs.get_logger(__name__)

TOO_LARGE = "models_too_large"
#: Downloads in progress. ComfyUI and the WebUI do not look into it.
INCOMING = ".incoming"
#: There once the server may start: what it reads only then has come.
SYNCED = ".synced"


@dataclass
class _File:
    size_bytes: int
    #: Grows with each use.
    used: float


@dataclass
class _Fetch:
    etag: str
    task: asyncio.Task[None]
    waiting: int = 0
    #: Cancelled, and not yet over.
    is_abandoned: bool = False


class ModelsInUse:
    """Keeps models from being evicted, from the moment they are there until `release`."""

    def __init__(self, store: ModelStore | None, keys: frozenset[str], arrived: frozenset[str]) -> None:
        self._store = store
        self.keys = keys
        #: Those that were not there before.
        self.arrived = arrived

    def release(self) -> None:
        """Let go of them. May be called twice."""
        store, self._store = self._store, None
        if store is not None:
            store.let_go(self.keys)


class ModelStore:
    """Only what the bucket has is ever evicted: a file of the image itself could not be fetched again.

    All methods belong to one event loop.
    """

    def __init__(
        self,
        bucket: ModelBucket,
        directory: Path,
        *,
        max_bytes: int,
        readers: int = READERS,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """`max_bytes`: what all models may take; only what running tasks use together may be more, for their time."""
        self._bucket = bucket
        self._directory = directory
        self._max_bytes = max_bytes
        self._incoming = directory / INCOMING
        self._downloads = Downloads(bucket, self._incoming, readers=readers, part_bytes=part_bytes)
        self._files: dict[str, _File] = {}
        #: Sizes of what is on its way.
        self._coming: Counter[str] = Counter()
        self._users: Counter[str] = Counter()
        self._fetches: dict[str, _Fetch] = {}
        self._listed: dict[str, ModelObject] = {}
        self._listed_at: float | None = None
        self._listing = asyncio.Lock()
        self._uses = itertools.count(1)

    async def start(self) -> None:
        """Remove what a killed process left half done, and see what there is."""
        self._files = await offload(_scanned, self._directory, self._incoming)
        await offload((self._directory / SYNCED).unlink, missing_ok=True)
        log.info("models.found", count=len(self._files), size_bytes=self.size_bytes)

    async def mark_synced(self) -> None:
        """Tell a server that waits for its files that they are here."""
        await offload((self._directory / SYNCED).touch)

    async def close(self) -> None:
        tasks = {fetch.task for fetch in self._fetches.values()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._downloads.close()

    @property
    def size_bytes(self) -> int:
        """What lies here, and what is on its way."""
        return sum(file.size_bytes for file in self._files.values()) + self._coming.total()

    def local_keys(self) -> list[str]:
        return list(self._files)

    async def listing(self, *, max_age: timedelta) -> Mapping[str, ModelObject]:
        """What the bucket has, by key, as it was at most `max_age` ago.

        Raises:
            ServiceUnavailable
        """
        asked_at = time.monotonic()
        async with self._listing:
            # Whoever waited here for another's listing takes that.
            if self._listed_at is None or asked_at - self._listed_at > max_age.total_seconds():
                objects = await offload(self._bucket.objects)
                # No model is empty; what has no content is a folder's mark, or a name without its file.
                self._listed = {each.key: each for each in objects if is_safe_key(each.key) and each.size_bytes}
                self._listed_at = time.monotonic()
        return self._listed

    def keep(self, keys: Collection[str]) -> ModelsInUse:
        """Hold files that lie here already, whatever the bucket has."""
        for key in keys:
            self._use(key)
        return ModelsInUse(self, frozenset(keys), frozenset())

    async def acquire(self, models: Iterable[ModelObject]) -> ModelsInUse:
        """Have all of `models` here, and hold them.

        Raises:
            RuntimeFailure: they do not fit, or the bucket does not deliver; nothing is held then.
        """
        wanted = {model.key: model for model in models}
        total = sum(model.size_bytes for model in wanted.values())
        if total > self._max_bytes:
            raise RuntimeFailure.permanent(
                TOO_LARGE,
                f"The models of this request ({', '.join(wanted)}) have {total} bytes together; the instance's model "
                f"cache holds {self._max_bytes}. Name fewer, or have its limit raised.",
            )
        for key in wanted:
            self._users[key] += 1
        held = ModelsInUse(self, frozenset(wanted), frozenset())
        try:
            missing = await offload(self._missing, list(wanted.values()))
            await self._fetch_all(missing)
        except BaseException:
            held.release()
            raise
        for key, model in wanted.items():
            self._files.setdefault(key, _File(model.size_bytes, 0.0))
            self._touch(key)
        held.arrived = frozenset(model.key for model in missing)
        return held

    def let_go(self, keys: Collection[str]) -> None:
        self._users.subtract(keys)
        self._users += Counter()
        self._make_room()

    def _use(self, key: str) -> None:
        self._users[key] += 1
        self._touch(key)

    def _touch(self, key: str) -> None:
        now = time.time()
        path = self._directory / key
        if key in self._files:
            # Both clocks in one number: the order of this process's uses, after everything from before it.
            self._files[key].used = now + next(self._uses) * 1e-6
        try:
            os.utime(path, (now, path.stat().st_mtime))
        except OSError as error:
            log.warning("model.use_not_noted", key=key, reason=error.strerror)

    def _missing(self, models: list[ModelObject]) -> list[ModelObject]:
        return [model for model in models if not _is_current(self._directory / model.key, model)]

    async def _fetch_all(self, models: list[ModelObject]) -> None:
        waits = [asyncio.create_task(self._fetched(model)) for model in models]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _fetched(self, model: ModelObject) -> None:
        """Wait for the model's download, which is one however many tasks want it."""
        while (fetch := self._fetches.get(model.key)) and (fetch.is_abandoned or fetch.etag != model.etag):
            # Two at once would put two contents in one place, the older one perhaps last.
            await asyncio.wait({fetch.task})
        if fetch is None:
            fetch = self._fetches[model.key] = _Fetch(model.etag, asyncio.create_task(self._fetch(model)))
            # Not at its end by itself: one that is cancelled before its first step has none.
            fetch.task.add_done_callback(lambda _: self._fetches.pop(model.key))
        fetch.waiting += 1
        try:
            await asyncio.shield(fetch.task)
        finally:
            fetch.waiting -= 1
            if not fetch.waiting and not fetch.task.done():
                fetch.is_abandoned = True
                fetch.task.cancel()

    async def _fetch(self, model: ModelObject) -> None:
        path = self._directory / model.key
        self._coming[model.key] = model.size_bytes
        try:
            self._make_room()
            await self._downloads.fetch(model, path)
        except RuntimeFailure:
            # The listing promised what the bucket did not keep: look again before the next try.
            self._listed_at = None
            raise
        finally:
            del self._coming[model.key]
            # Also when this was cancelled, if that came too late.
            if _is_current(path, model):
                self._files[model.key] = _File(model.size_bytes, time.time())
                # What nobody waits for any more may have made it too many.
                self._make_room()

    def _make_room(self) -> None:
        """Evict the longest unused until the rest fits, or all the rest is in use."""
        size = self.size_bytes
        if size <= self._max_bytes:
            return
        free = [key for key in self._files if not self._users[key] and key in self._listed]
        for key in sorted(free, key=lambda each: self._files[each].used):
            if size <= self._max_bytes:
                return
            size -= self._files[key].size_bytes
            self._evict(key)
        if size > self._max_bytes:
            log.warning("models.over_limit", size_bytes=size, max_bytes=self._max_bytes)

    def _evict(self, key: str) -> None:
        file = self._files.pop(key)
        # Its folder stays: ComfyUI fails over one that it knew and that is gone.
        (self._directory / key).unlink(missing_ok=True)
        log.info("model.evicted", key=key, size_bytes=file.size_bytes)


def _is_current(path: Path, model: ModelObject) -> bool:
    """Of the same size and no older than the object: copied by us, by `aws s3 sync`, or by hand since."""
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_size == model.size_bytes and int(found.st_mtime) >= int(model.modified_at.timestamp())


def _scanned(directory: Path, incoming: Path) -> dict[str, _File]:
    incoming.mkdir(parents=True, exist_ok=True)
    doubtful = clear(incoming)
    files = {}
    for name in sorted({name for names in DIRECTORIES.values() for name in names}):
        # Made now, empty or not: a server that starts before the first download must know it.
        (directory / name).mkdir(exist_ok=True)
        for path in (directory / name).rglob("*"):
            key = path.relative_to(directory).as_posix()
            if path.is_file() and is_safe_key(key):
                found = path.stat()
                if identity(found) in doubtful:
                    path.unlink()
                    continue
                files[key] = _File(found.st_size, found.st_atime)
    return files
