"""A downloaded model on its way to the disk: used before it is there, and not believed after a crash in between."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from sdfleet.memory.model_bucket import MemoryModelBucket
from sdfleet_scheduler import model_settling
from sdfleet_scheduler.model_store import INCOMING, ModelStore

KEY = "Lora/a.safetensors"
WEIGHTS = b"weights"


def a_bucket() -> MemoryModelBucket:
    bucket = MemoryModelBucket()
    bucket.put(KEY, WEIGHTS)
    return bucket


async def started(bucket: MemoryModelBucket, directory: Path) -> ModelStore:
    store = ModelStore(bucket, directory, max_bytes=1000)
    await store.start()
    return store


async def fetch(store: ModelStore) -> None:
    listed = await store.listing(max_age=timedelta(0))
    (await store.acquire([listed[KEY]])).release()


def in_progress(directory: Path) -> list[Path]:
    return list((directory / INCOMING).iterdir())


def left_as_a_crash_leaves_it(directory: Path) -> None:
    """One of another process, whole by its names, that nobody has brought to the disk."""
    (directory / INCOMING).mkdir()
    (directory / "Lora").mkdir()
    (directory / INCOMING / f"{os.getppid()}-0123.part").write_bytes(bytes(len(WEIGHTS)))
    os.link(directory / INCOMING / f"{os.getppid()}-0123.part", directory / KEY)


def as_if_the_machine_had_started_only_now(patch: pytest.MonkeyPatch) -> None:
    later = time.time() + 60
    patch.setattr(time, "time", lambda: later)
    patch.setattr(time, "clock_gettime", lambda clock: 1.0)


async def test_a_model_is_used_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = threading.Event()
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(disk.wait(5)))
    store = await started(a_bucket(), tmp_path)

    await fetch(store)

    assert (tmp_path / KEY).read_bytes() == WEIGHTS
    assert len(in_progress(tmp_path)) == 1
    disk.set()
    await store.close()
    assert synced == [True]
    assert in_progress(tmp_path) == []
    assert (tmp_path / KEY).read_bytes() == WEIGHTS


async def test_a_file_that_had_not_reached_the_disk_when_the_machine_went_down_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_as_a_crash_leaves_it(tmp_path)
    as_if_the_machine_had_started_only_now(monkeypatch)
    store = await started(a_bucket(), tmp_path)
    assert not (tmp_path / KEY).exists()
    assert in_progress(tmp_path) == []
    await fetch(store)
    assert (tmp_path / KEY).read_bytes() == WEIGHTS
    await store.close()


async def test_one_that_was_on_the_disk_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = a_bucket()
    first = await started(bucket, tmp_path)
    await fetch(first)
    await first.close()
    as_if_the_machine_had_started_only_now(monkeypatch)
    await fetch(await started(bucket, tmp_path))
    assert len(bucket.reads) == 1


async def test_what_a_killed_process_had_not_brought_to_the_disk_the_next_one_brings_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / INCOMING).mkdir()
    (tmp_path / "Lora").mkdir()
    left = tmp_path / INCOMING / f"{os.getpid()}-0123.part"
    left.write_bytes(WEIGHTS)
    os.link(left, tmp_path / KEY)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    bucket = a_bucket()
    await fetch(await started(bucket, tmp_path))
    assert len(synced) == 1
    assert bucket.reads == []
    assert in_progress(tmp_path) == []


async def test_a_file_that_the_disk_does_not_take_is_taken_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    store = await started(a_bucket(), tmp_path)
    await fetch(store)
    await store.close()
    assert not (tmp_path / KEY).exists()
    assert in_progress(tmp_path) == []


async def test_on_a_file_system_that_knows_one_name_a_file_the_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    synced: list[int] = []
    monkeypatch.setattr(Path, "hardlink_to", refused)
    monkeypatch.setattr(os, "fsync", synced.append)
    store = await started(a_bucket(), tmp_path)
    await fetch(store)
    assert len(synced) == 1
    assert (tmp_path / KEY).read_bytes() == WEIGHTS
    await store.close()
    assert in_progress(tmp_path) == []


async def test_a_fetch_that_is_cancelled_at_its_very_end_leaves_nothing_that_is_not_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, go = threading.Event(), threading.Event()
    put_in_place, synced = model_settling.put_in_place, list[int]()

    def placing(temporary: Path, target: Path) -> None:
        put_in_place(temporary, target)
        placed.set()
        assert go.wait(5)

    monkeypatch.setattr("sdfleet_scheduler.model_download.put_in_place", placing)
    monkeypatch.setattr(os, "fsync", synced.append)
    store = await started(a_bucket(), tmp_path)
    task = asyncio.create_task(fetch(store))
    await asyncio.to_thread(placed.wait, 5)
    task.cancel()
    await asyncio.wait({task})
    go.set()
    await store.close()
    assert len(synced) == 1
    assert in_progress(tmp_path) == []
    assert (tmp_path / KEY).read_bytes() == WEIGHTS


def test_a_download_that_its_owner_ends_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1-a.part", "1-b.part"):
        (tmp_path / name).touch()
    judged = model_settling._is_left_behind

    def is_left_behind(temporary: Path) -> bool:
        if temporary.name == "1-a.part":
            temporary.unlink()
        return judged(temporary) or True

    monkeypatch.setattr(model_settling, "_is_left_behind", is_left_behind)
    assert model_settling.clear(tmp_path) == frozenset()
    assert list(tmp_path.iterdir()) == []
