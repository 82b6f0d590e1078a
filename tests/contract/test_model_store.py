"""The instance's model directory: fetched whole or not at all, once, and evicted by last use."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdfleet.domain.retry import FailureKind
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.model_bucket import MemoryModelBucket
from sdfleet.ports import ModelObject
from sdfleet_scheduler.model_store import INCOMING, ModelsInUse, ModelStore
from sdfleet_scheduler.runtimes.base import RuntimeFailure

A, B, C = "Lora/a.safetensors", "Lora/b.safetensors", "Lora/c.safetensors"


class SlowBucket(MemoryModelBucket):
    """Delivers nothing until let go; told which reads have begun."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.begun = threading.Event()

    def read(self, model: ModelObject, *, offset: int, size_bytes: int) -> Iterator[bytes]:
        self.begun.set()
        assert self.go.wait(5)
        yield from super().read(model, offset=offset, size_bytes=size_bytes)


class BreakingBucket(MemoryModelBucket):
    """Every stream breaks after `after` bytes."""

    after = 3

    def read(self, model: ModelObject, *, offset: int, size_bytes: int) -> Iterator[bytes]:
        for chunk in super().read(model, offset=offset, size_bytes=size_bytes):
            yield chunk[: self.after]
            if len(chunk) > self.after:
                raise ServiceUnavailable


def a_bucket(**sizes: int) -> MemoryModelBucket:
    """With `Lora/{name}.safetensors` of so many bytes each."""
    return filled(MemoryModelBucket(), **sizes)


def filled(bucket: MemoryModelBucket, **sizes: int) -> MemoryModelBucket:
    for name, size in sizes.items():
        bucket.put(f"Lora/{name}.safetensors", content_of(name, size))
    return bucket


def content_of(name: str, size: int) -> bytes:
    return bytes((ord(name[0]) + index) % 251 for index in range(size))


async def a_store(
    bucket: MemoryModelBucket, directory: Path, *, max_bytes: int = 1000, part_bytes: int = 7
) -> ModelStore:
    store = ModelStore(bucket, directory, max_bytes=max_bytes, readers=4, part_bytes=part_bytes)
    await store.start()
    return store


async def use(store: ModelStore, *keys: str) -> None:
    """As a task does: fetch, hold and let go."""
    listed = await store.listing(max_age=timedelta(0))
    (await store.acquire([listed[key] for key in keys])).release()


def files(directory: Path) -> set[str]:
    """Every file, unfinished ones too."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def models_in(directory: Path) -> set[str]:
    """Every file that has come, whether it is on the disk by now or not."""
    return {name for name in files(directory) if not name.startswith(INCOMING)}


async def test_a_model_arrives_whole_however_many_parts_it_comes_in(tmp_path: Path) -> None:
    bucket = a_bucket(a=100)
    await use(await a_store(bucket, tmp_path), A)
    assert (tmp_path / A).read_bytes() == content_of("a", 100)
    assert sorted(read.offset for read in bucket.reads) == list(range(0, 100, 7))


async def test_an_empty_object_is_no_model(tmp_path: Path) -> None:
    store = await a_store(a_bucket(a=0, b=1), tmp_path)
    assert set(await store.listing(max_age=timedelta(0))) == {B}


async def test_a_model_that_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    bucket = a_bucket(a=10)
    store = await a_store(bucket, tmp_path, part_bytes=10)
    await use(store, A)
    await use(store, A)
    assert len(bucket.reads) == 1


async def test_nor_after_a_restart(tmp_path: Path) -> None:
    bucket = a_bucket(a=10)
    await use(await a_store(bucket, tmp_path), A)
    reads = len(bucket.reads)
    await use(await a_store(bucket, tmp_path), A)
    assert len(bucket.reads) == reads


async def test_a_newer_object_replaces_the_file(tmp_path: Path) -> None:
    bucket = a_bucket(a=10)
    store = await a_store(bucket, tmp_path)
    await use(store, A)
    bucket.put(A, b"0123456789", modified_at=datetime(2026, 5, 1, tzinfo=UTC))
    await use(store, A)
    assert (tmp_path / A).read_bytes() == b"0123456789"


async def test_a_file_of_the_image_that_is_like_the_object_is_taken_as_it(tmp_path: Path) -> None:
    bucket = a_bucket(a=10)
    (tmp_path / "Lora").mkdir()
    (tmp_path / A).write_bytes(content_of("a", 10))
    await use(await a_store(bucket, tmp_path), A)
    assert bucket.reads == []


async def test_two_tasks_that_want_a_model_download_it_once(tmp_path: Path) -> None:
    bucket = filled(SlowBucket(), a=5)
    assert isinstance(bucket, SlowBucket)
    store = await a_store(bucket, tmp_path)
    both = [asyncio.create_task(use(store, A)) for _ in range(2)]
    await asyncio.to_thread(bucket.begun.wait, 5)
    bucket.go.set()
    await asyncio.gather(*both)
    assert len(bucket.reads) == 1


async def test_a_task_that_is_cancelled_leaves_the_download_to_the_other(tmp_path: Path) -> None:
    bucket = filled(SlowBucket(), a=5)
    assert isinstance(bucket, SlowBucket)
    store = await a_store(bucket, tmp_path)
    gone, staying = (asyncio.create_task(use(store, A)) for _ in range(2))
    await asyncio.to_thread(bucket.begun.wait, 5)
    gone.cancel()
    await asyncio.wait({gone})
    bucket.go.set()
    await staying
    assert (tmp_path / A).read_bytes() == content_of("a", 5)
    assert len(bucket.reads) == 1


async def test_a_download_that_nobody_wants_any_more_stops_and_leaves_nothing(tmp_path: Path) -> None:
    bucket = filled(SlowBucket(), a=50)
    assert isinstance(bucket, SlowBucket)
    store = await a_store(bucket, tmp_path)
    task = asyncio.create_task(use(store, A))
    await asyncio.to_thread(bucket.begun.wait, 5)
    task.cancel()
    await asyncio.wait({task})
    bucket.go.set()
    await store.close()
    while files(tmp_path):
        await asyncio.sleep(0.001)
    assert store.size_bytes == 0


async def test_a_new_content_is_fetched_after_the_old_one_that_is_on_its_way(tmp_path: Path) -> None:
    bucket = filled(SlowBucket(), a=5)
    assert isinstance(bucket, SlowBucket)
    store = await a_store(bucket, tmp_path)
    old = asyncio.create_task(use(store, A))
    await asyncio.to_thread(bucket.begun.wait, 5)
    bucket.put(A, b"newer", modified_at=datetime(2026, 5, 1, tzinfo=UTC))
    new = asyncio.create_task(use(store, A))
    bucket.go.set()
    with pytest.raises(RuntimeFailure):
        await old
    await new
    assert (tmp_path / A).read_bytes() == b"newer"


async def test_whoever_comes_while_a_download_is_being_stopped_gets_a_new_one(tmp_path: Path) -> None:
    bucket = filled(SlowBucket(), a=5)
    assert isinstance(bucket, SlowBucket)
    store = await a_store(bucket, tmp_path)
    gone = asyncio.create_task(use(store, A))
    await asyncio.to_thread(bucket.begun.wait, 5)
    gone.cancel()
    await asyncio.wait({gone})
    late = asyncio.create_task(use(store, A))
    bucket.go.set()
    await late
    assert (tmp_path / A).read_bytes() == content_of("a", 5)


async def test_a_stream_that_breaks_goes_on_where_it_broke(tmp_path: Path) -> None:
    bucket = filled(BreakingBucket(), a=7)
    await use(await a_store(bucket, tmp_path), A)
    assert (tmp_path / A).read_bytes() == content_of("a", 7)
    assert [(read.offset, read.size_bytes) for read in bucket.reads] == [(0, 7), (3, 4), (6, 1)]


async def test_a_bucket_that_does_not_deliver_is_tried_later_and_leaves_nothing(tmp_path: Path) -> None:
    bucket = filled(BreakingBucket(), a=70)
    store = await a_store(bucket, tmp_path, part_bytes=70)
    with pytest.raises(RuntimeFailure, match=r"Lora/a.safetensors could not be read") as caught:
        await use(store, A)
    assert (caught.value.kind, caught.value.code) == (FailureKind.TRANSIENT, "model_unavailable")
    assert files(tmp_path) == set()
    assert store.size_bytes == 0


async def test_an_object_that_goes_between_listing_and_reading_is_looked_for_anew(tmp_path: Path) -> None:
    bucket = a_bucket(a=10)
    store = await a_store(bucket, tmp_path)
    listed = await store.listing(max_age=timedelta(hours=1))
    bucket.put(A, b"new and longer")
    with pytest.raises(RuntimeFailure, match="changed or was taken away"):
        await store.acquire([listed[A]])
    assert (await store.listing(max_age=timedelta(hours=1)))[A].size_bytes == 14


async def test_a_full_disk_is_said_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    bucket = a_bucket(a=10)
    with pytest.raises(RuntimeFailure, match=r"a.safetensors \(10 bytes\) does not fit on") as caught:
        await use(await a_store(bucket, tmp_path), A)
    assert caught.value.code == "model_disk_full"
    assert bucket.reads == []
    assert files(tmp_path) == set()


async def test_what_a_killed_process_left_half_done_is_removed(tmp_path: Path) -> None:
    (tmp_path / INCOMING).mkdir()
    (tmp_path / INCOMING / "x.part").write_bytes(b"half")
    await a_store(a_bucket(), tmp_path)
    assert files(tmp_path) == set()


async def test_the_longest_unused_is_evicted(tmp_path: Path) -> None:
    store = await a_store(a_bucket(a=10, b=10, c=10), tmp_path, max_bytes=20)
    await use(store, A)
    await use(store, B)
    await use(store, A)
    await use(store, C)
    assert models_in(tmp_path) == {A, C}


async def test_last_uses_are_remembered_over_a_restart(tmp_path: Path) -> None:
    bucket = a_bucket(a=10, b=10, c=10)
    first = await a_store(bucket, tmp_path, max_bytes=20)
    await use(first, A)
    await use(first, B)
    os.utime(tmp_path / B, (1_000, (tmp_path / B).stat().st_mtime))
    await use(await a_store(bucket, tmp_path, max_bytes=20), C)
    assert models_in(tmp_path) == {A, C}


async def test_a_model_in_use_is_never_evicted(tmp_path: Path) -> None:
    store = await a_store(a_bucket(a=10, b=10), tmp_path, max_bytes=15)
    listed = await store.listing(max_age=timedelta(0))
    held = await store.acquire([listed[A]])
    await use(store, B)
    assert A in models_in(tmp_path)
    held.release()
    held.release()
    assert store.size_bytes <= 15


async def test_a_file_that_the_bucket_does_not_have_is_never_evicted(tmp_path: Path) -> None:
    (tmp_path / "Lora").mkdir()
    (tmp_path / "Lora" / "own.safetensors").write_bytes(bytes(10))
    store = await a_store(a_bucket(a=10, b=10), tmp_path, max_bytes=20)
    await use(store, A)
    await use(store, B)
    assert models_in(tmp_path) == {"Lora/own.safetensors", B}


async def test_models_that_can_never_fit_together_are_refused_for_good(tmp_path: Path) -> None:
    bucket = a_bucket(a=10, b=10)
    with pytest.raises(RuntimeFailure, match="have 20 bytes together; the instance's model cache holds 15") as caught:
        await use(await a_store(bucket, tmp_path, max_bytes=15), A, B)
    assert (caught.value.kind, caught.value.code) == (FailureKind.PERMANENT, "models_too_large")
    assert bucket.reads == []


async def test_a_failed_acquisition_holds_nothing(tmp_path: Path) -> None:
    bucket = a_bucket(a=10, b=10, c=10)
    store = await a_store(bucket, tmp_path, max_bytes=20)
    listed = dict(await store.listing(max_age=timedelta(0)))
    bucket.remove(B)
    with pytest.raises(RuntimeFailure):
        await store.acquire([listed[A], listed[B]])
    await use(store, A)
    await use(store, C)
    bucket.put("Lora/d.safetensors", bytes(15))
    await use(store, "Lora/d.safetensors")
    assert A not in models_in(tmp_path)


async def test_comfyui_sees_a_new_file_because_its_folder_has_a_new_time(tmp_path: Path) -> None:
    store = await a_store(a_bucket(a=1, b=1), tmp_path)
    await use(store, A)
    before = (tmp_path / "Lora").stat().st_mtime_ns
    await use(store, B)
    assert (tmp_path / "Lora").stat().st_mtime_ns > before


async def test_a_key_that_leads_out_of_the_directory_is_not_listed(tmp_path: Path) -> None:
    bucket = a_bucket(a=1)
    bucket.put("Lora/../../escaped", b"x")
    store = await a_store(bucket, tmp_path)
    assert list(await store.listing(max_age=timedelta(0))) == [A]


@pytest.mark.parametrize("seed", range(3))
async def test_tasks_that_come_and_are_cancelled_at_random_leave_a_store_in_order(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    store = await a_store(a_bucket(a=10, b=20, c=30, d=40), tmp_path, max_bytes=60, part_bytes=9)
    listed = await store.listing(max_age=timedelta(0))

    async def work() -> None:
        held = await store.acquire(random.sample(list(listed.values()), 1))
        try:
            for key in held.keys:
                assert (tmp_path / key).stat().st_size == listed[key].size_bytes
                await asyncio.sleep(random.random() * 0.004)
                assert (tmp_path / key).exists()
        finally:
            held.release()

    tasks = []
    for _ in range(40):
        tasks.append(asyncio.create_task(work()))
        await asyncio.sleep(random.random() * 0.004)
        random.choice(tasks).cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError}
    await store.close()
    assert store.size_bytes == sum((tmp_path / key).stat().st_size for key in models_in(tmp_path)) <= 60
    assert all(
        (tmp_path / key).read_bytes() == content_of(key[5], listed[key].size_bytes) for key in models_in(tmp_path)
    )


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=12), st.integers(8, 20))
def test_whatever_is_asked_for_the_limit_holds_and_what_is_in_use_stays(
    requests: list[tuple[str, bool]], max_bytes: int
) -> None:
    asyncio.run(follow(requests, max_bytes))


async def follow(requests: list[tuple[str, bool]], max_bytes: int) -> None:
    """Ask for one model after another; some tasks end at once, of the others the oldest when three run."""
    sizes = {"a": 1, "b": 2, "c": 3, "d": 5, "e": 7, "f": 8}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        store = await a_store(a_bucket(**sizes), directory, max_bytes=max_bytes)
        listed = await store.listing(max_age=timedelta(0))
        running: list[tuple[str, ModelsInUse]] = []
        by_use: list[str] = []
        for name, ends_at_once in requests:
            key = f"Lora/{name}.safetensors"
            before = models_in(directory)
            held = await store.acquire([listed[key]])
            by_use = [each for each in by_use if each != key] + [key]
            running.append((key, held))
            in_use = {each for each, _ in running}
            present = models_in(directory)
            assert in_use <= present
            evicted, kept = before - present, (before & present) - in_use
            # No older one stays for which a younger one went.
            assert all(by_use.index(gone) < by_use.index(stays) for gone in evicted for stays in kept)
            if ends_at_once or len(running) == 3:
                running.pop(0)[1].release()
            in_use = {each for each, _ in running}
            present = models_in(directory)
            assert store.size_bytes == sum(sizes[each[5]] for each in present)
            assert store.size_bytes <= max_bytes or present == in_use
        await store.close()
