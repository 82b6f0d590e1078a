"""The model store on S3, as far as an emulation goes."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.aws.model_bucket import S3ModelBucket
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


async def test_a_model_replaced_in_the_middle_is_never_a_mixture(clients: Clients, bucket: str, tmp_path: Path) -> None:
    clients.s3.put_object(Bucket=bucket, Key=KEY, Body=b"old" * 1000)
    store = ModelStore(S3ModelBucket(clients.s3, bucket), tmp_path, max_bytes=10_000_000, part_bytes=1000)
    await store.start()
    listed = await store.listing(max_age=timedelta(0))
    clients.s3.put_object(Bucket=bucket, Key=KEY, Body=b"new" * 1000)

    with pytest.raises(RuntimeFailure, match="changed or was taken away"):
        await store.acquire([listed[KEY]])

    assert not (tmp_path / KEY).exists()
