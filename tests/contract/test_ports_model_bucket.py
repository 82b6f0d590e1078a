"""ModelBucket, in memory and on S3."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.aws.model_bucket import S3ModelBucket
from sdfleet.errors import ObjectNotFound
from sdfleet.memory.model_bucket import MemoryModelBucket
from sdfleet.ports import ModelBucket

LORA = "Lora/styles/ink wash.safetensors"


@dataclass
class Models:
    bucket: ModelBucket
    put: Callable[[str, bytes], object]


@pytest.fixture(params=["memory", "aws"])
def models(request: pytest.FixtureRequest) -> Models:
    if request.param == "memory":
        memory = MemoryModelBucket()
        return Models(memory, memory.put)
    s3 = request.getfixturevalue("clients").s3
    name = f"models-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return Models(S3ModelBucket(s3, name), lambda key, data: s3.put_object(Bucket=name, Key=key, Body=data))


def read(models: Models, offset: int, size_bytes: int) -> bytes:
    (found,) = models.bucket.objects()
    return b"".join(bytes(piece) for piece in models.bucket.read(found, offset=offset, size_bytes=size_bytes))


def test_a_listing_has_every_object_with_its_size(models: Models) -> None:
    models.put(LORA, b"weights")
    models.put("VAE/ft.safetensors", b"")
    assert [(found.key, found.size_bytes) for found in models.bucket.objects()] == [
        (LORA, 7),
        ("VAE/ft.safetensors", 0),
    ]


def test_a_listing_may_be_of_one_directory(models: Models) -> None:
    models.put(LORA, b"weights")
    models.put("VAE/ft.safetensors", b"x")
    assert [found.key for found in models.bucket.objects("VAE/")] == ["VAE/ft.safetensors"]


def test_any_part_of_an_object_can_be_read(models: Models) -> None:
    models.put(LORA, b"0123456789")
    assert read(models, 3, 4) == b"3456"


def test_a_part_ends_with_its_object(models: Models) -> None:
    models.put(LORA, b"0123456789")
    assert read(models, 8, 100) == b"89"


def test_nothing_of_an_object_is_nothing(models: Models) -> None:
    models.put(LORA, b"0123456789")
    assert read(models, 0, 0) == b""


def test_an_object_that_changed_since_it_was_listed_is_not_found(models: Models) -> None:
    models.put(LORA, b"first")
    (listed,) = models.bucket.objects()
    models.put(LORA, b"other")
    with pytest.raises(ObjectNotFound):
        list(models.bucket.read(listed, offset=0, size_bytes=5))


def test_a_new_content_has_another_etag(models: Models) -> None:
    models.put(LORA, b"first")
    before = models.bucket.objects()[0].etag
    models.put(LORA, b"other")
    assert models.bucket.objects()[0].etag != before


def test_the_markers_that_the_console_makes_for_folders_are_no_models(clients: Clients) -> None:
    name = f"models-{uuid.uuid4().hex}"
    clients.s3.create_bucket(Bucket=name)
    clients.s3.put_object(Bucket=name, Key="Lora/", Body=b"")
    assert S3ModelBucket(clients.s3, name).objects() == []


def test_a_listing_goes_on_after_its_first_page(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"models-{uuid.uuid4().hex}"
    clients.s3.create_bucket(Bucket=name)
    for number in range(3):
        clients.s3.put_object(Bucket=name, Key=f"Lora/{number}.safetensors", Body=b"x")
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    assert len(S3ModelBucket(clients.s3, name).objects()) == 3
