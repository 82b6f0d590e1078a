"""The model store on S3, as far as an emulation goes."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.aws.model_bucket import S3ModelBucket
from sdfleet.errors import ServiceUnavailable
from sdfleet.ports import ModelObject
from sdfleet_scheduler.model_store import ModelStore
from sdfleet_scheduler.runtimes.base import RuntimeFailure

KEY = "Stable-diffusion/large.safetensors"


@pytest.fixture
def bucket(clients: Clients) -> str:
    name = f"models-{uuid.uuid4().hex}"
    clients.s3.create_bucket(Bucket=name)
    return name


async def test_a_large_model_is_put_together_from_parts_read_at_once(
    clients: Clients, bucket: str, tmp_path: Path
) -> None:
    weights = random.Random(7).randbytes(3_000_001)
    clients.s3.put_object(Bucket=bucket, Key=KEY, Body=weights)
    store = ModelStore(S3ModelBucket(clients.s3, bucket), tmp_path, max_bytes=10_000_000, part_bytes=400_000)
    await store.start()
    listed = await store.listing(max_age=timedelta(0))

    both = await asyncio.gather(*(store.acquire([listed[KEY]]) for _ in range(2)))

    assert (tmp_path / KEY).read_bytes() == weights
    assert [held.arrived for held in both] == [{KEY}, {KEY}]


class CountingBucket:
    """S3's, with what was read of it; a stream breaks after so many bytes, as often as it is told."""

    def __init__(self, bucket: S3ModelBucket, *, breaks: int = 0) -> None:
        self._bucket = bucket
        self._breaks = breaks
        self.bytes_read = 0
        self.offsets: list[int] = []

    def objects(self, prefix: str = "") -> list[ModelObject]:
        return self._bucket.objects(prefix)

    def read(self, model: ModelObject, *, offset: int, size_bytes: int) -> Iterator[bytes | memoryview]:
        self.offsets.append(offset)
        is_broken = self._breaks > 0
        self._breaks -= is_broken
        for chunk in self._bucket.read(model, offset=offset, size_bytes=size_bytes):
            given = chunk[: len(chunk) // 2] if is_broken else chunk
            self.bytes_read += len(given)
            yield given
            if is_broken:
                raise ServiceUnavailable


async def test_twenty_tasks_that_want_a_model_at_once_download_it_once(
    clients: Clients, bucket: str, tmp_path: Path
) -> None:
    weights = random.Random(8).randbytes(1_000_001)
    clients.s3.put_object(Bucket=bucket, Key=KEY, Body=weights)
    counted = CountingBucket(S3ModelBucket(clients.s3, bucket))
    store = ModelStore(counted, tmp_path, max_bytes=10_000_000, part_bytes=100_000)
    await store.start()
    listed = await store.listing(max_age=timedelta(0))

    held = await asyncio.gather(*(store.acquire([listed[KEY]]) for _ in range(20)))

    assert len(held) == 20
    assert counted.bytes_read == len(weights)
    assert (tmp_path / KEY).read_bytes() == weights


async def test_a_stream_that_breaks_is_gone_on_with_and_no_part_of_the_file_is_to_be_seen_before_all_of_it(
    clients: Clients, bucket: str, tmp_path: Path
) -> None:
    weights = random.Random(9).randbytes(1_000_001)
    clients.s3.put_object(Bucket=bucket, Key=KEY, Body=weights)
    breaking = CountingBucket(S3ModelBucket(clients.s3, bucket), breaks=3)
    store = ModelStore(breaking, tmp_path, max_bytes=10_000_000, part_bytes=250_000)
    await store.start()
    listed = await store.listing(max_age=timedelta(0))
    acquiring = asyncio.create_task(store.acquire([listed[KEY]]))
    seen = set()
    while not acquiring.done():
        seen.add((tmp_path / KEY).stat().st_size if (tmp_path / KEY).exists() else None)
        await asyncio.sleep(0)
    await acquiring

    assert seen <= {None, len(weights)}
    assert (tmp_path / KEY).read_bytes() == weights
    # Not one byte a second time: each went on where it broke.
    assert breaking.bytes_read == len(weights)
    assert len(breaking.offsets) == 5 + 3


async def test_a_model_replaced_in_the_middle_is_never_a_mixture(clients: Clients, bucket: str, tmp_path: Path) -> None:
    clients.s3.put_object(Bucket=bucket, Key=KEY, Body=b"old" * 1000)
    store = ModelStore(S3ModelBucket(clients.s3, bucket), tmp_path, max_bytes=10_000_000, part_bytes=1000)
    await store.start()
    listed = await store.listing(max_age=timedelta(0))
    clients.s3.put_object(Bucket=bucket, Key=KEY, Body=b"new" * 1000)

    with pytest.raises(RuntimeFailure, match="changed or was taken away"):
        await store.acquire([listed[KEY]])

    assert not (tmp_path / KEY).exists()
