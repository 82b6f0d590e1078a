"""One model from the bucket into a file: many ranges at once, and either the whole file or none."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from sdfleet.errors import ObjectNotFound, ServiceUnavailable
from sdfleet.ports import ModelBucket, ModelObject
from sdfleet.telemetry import logs
from sdfleet_scheduler.model_settling import put_in_place, settle
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.cancellation import to_the_end

log = logs.get_logger(__name__)

MODEL_UNAVAILABLE = "model_unavailable"
DISK_FULL = "model_disk_full"

#: One connection to S3 gives 50 to 100 MB/s: eight fill a small instance's network, and are a quarter of our threads.
READERS = 8
#: At most: long enough that a request's first byte (tens of milliseconds) does not count, short enough that one part
#: more or less at the end does not either.
PART_BYTES = 64 * 1024 * 1024
#: Of a model too small for that many parts, each reader gets two, so that a slow one does not keep seven waiting, down
#: to this: below it the first byte counts.
_LEAST_PART_BYTES = 8 * 1024 * 1024
#: A stream of gigabytes breaks now and then; it goes on where it broke.
_READS_OF_A_PART = 4

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Part:
    offset: int
    size_bytes: int


class Downloads:
    """Downloads models into `incoming`, a folder on the same file system as their targets."""

    def __init__(
        self, bucket: ModelBucket, incoming: Path, *, readers: int = READERS, part_bytes: int = PART_BYTES
    ) -> None:
        self._bucket = bucket
        self._incoming = incoming
        self._readers = readers
        self._part_bytes = part_bytes
        #: Over all downloads, so that a second one does not double what they take.
        self._turns = asyncio.Semaphore(readers)
        self._settling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until what came is on the disk; no `fetch` may be in progress."""
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def fetch(self, model: ModelObject, target: Path) -> None:
        """Put the model at `target`, complete, or leave nothing behind.

        Raises:
            RuntimeFailure: transient; the disk is full, or the bucket does not deliver.
        """
        begun = time.monotonic()
        temporary = self._incoming / f"{os.getpid()}-{uuid.uuid4().hex}.part"
        is_whole = False
        try:
            # To its end: a thread that was left behind would make the file after it was removed.
            await to_the_end(offload(_reserve, temporary, model.size_bytes))
            await self._read_all(model, temporary)
            await to_the_end(offload(_put_in_place, temporary, target, model))
            is_whole = True
        except ObjectNotFound as error:
            raise _unavailable(model, "changed or was taken away while it was read") from error
        except ServiceUnavailable as error:
            raise _unavailable(model, "could not be read") from error
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise RuntimeFailure.transient(
                    MODEL_UNAVAILABLE, f"The model {model.key} cannot be written on this instance ({error.strerror})."
                ) from error
            raise RuntimeFailure.transient(
                DISK_FULL,
                f"The model {model.key} ({model.size_bytes} bytes) does not fit on this instance's disk. Lower the "
                "limit of the model cache, or give the instance a larger disk.",
            ) from error
        finally:
            settling = asyncio.create_task(offload(settle, temporary, target))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)
            if not is_whole:
                await to_the_end(settling)
        seconds = time.monotonic() - begun
        log.info("model.fetched", key=model.key, size_bytes=model.size_bytes, seconds=round(seconds, 3))

    async def _read_all(self, model: ModelObject, temporary: Path) -> None:
        stop = threading.Event()
        parts = [
            asyncio.create_task(self._read(model, temporary, part, stop))
            for part in _parts(model.size_bytes, self._part_bytes_of(model))
        ]
        try:
            await asyncio.gather(*parts)
        finally:
            stop.set()
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    def _part_bytes_of(self, model: ModelObject) -> int:
        return min(self._part_bytes, max(_LEAST_PART_BYTES, -(-model.size_bytes // (2 * self._readers))))

    async def _read(self, model: ModelObject, temporary: Path, part: Part, stop: threading.Event) -> None:
        async with self._turns:
            # To its end, which `stop` brings near: the place must not be given away while its thread still reads.
            await to_the_end(offload(_read_part, self._bucket, model, temporary, part, stop))


def _parts(size_bytes: int, part_bytes: int) -> list[Part]:
    return [Part(offset, min(part_bytes, size_bytes - offset)) for offset in range(0, size_bytes, part_bytes)]


def _reserve(temporary: Path, size_bytes: int) -> None:
    """Take the space first: a full disk is known before gigabytes were read."""
    temporary.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("wb") as file:
        if size_bytes:
            os.posix_fallocate(file.fileno(), 0, size_bytes)


def _read_part(bucket: ModelBucket, model: ModelObject, temporary: Path, part: Part, stop: threading.Event) -> None:
    # Never created here: after a cancellation the file may be gone, and stays so.
    file = os.open(temporary, os.O_WRONLY)
    try:
        done = 0
        for read in range(1, _READS_OF_A_PART + 1):
            try:
                chunks = bucket.read(model, offset=part.offset + done, size_bytes=part.size_bytes - done)
                for chunk in chunks:
                    if stop.is_set():
                        return
                    _write(file, chunk, part.offset + done)
                    done += len(chunk)
                if done == part.size_bytes:
                    return
                raise ServiceUnavailable("S3 ended a part of a model early; it is tried again.")
            except ServiceUnavailable:
                if read == _READS_OF_A_PART or stop.is_set():
                    raise
    finally:
        os.close(file)


def _write(file: int, chunk: bytes | memoryview, offset: int) -> None:
    view = memoryview(chunk)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _put_in_place(temporary: Path, target: Path, model: ModelObject) -> None:
    # Now, as its last use; its content's time, by which a newer object is told from it.
    os.utime(temporary, (time.time(), model.modified_at.timestamp()))
    target.parent.mkdir(parents=True, exist_ok=True)
    put_in_place(temporary, target)
    # ComfyUI looks into a folder again when its time has changed. The kernel's clock goes in steps of milliseconds, and
    # a look between two files of one step would never see the second.
    now = time.time_ns()
    os.utime(target.parent, ns=(now, now))


def _unavailable(model: ModelObject, reason: str) -> RuntimeFailure:
    return RuntimeFailure.transient(
        MODEL_UNAVAILABLE, f"The model {model.key} {reason} in the model bucket; the task is tried again."
    )
