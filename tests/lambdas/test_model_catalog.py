from __future__ import annotations

from datetime import timedelta

import pytest

from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.memory.clock import FakeClock
from sdfleet_lambdas.model_catalog import ModelCatalog
from service_harness import Fuse, Fused


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.artifacts = MemoryArtifactStore()
        self.fuse = Fuse()
        self.catalog = ModelCatalog(Fused(self.artifacts, self.fuse, "exists"), self.clock, "models")

    def upload(self, name: str) -> None:
        self.artifacts.put(f"s3://models/Stable-diffusion/{name}", b"weights", content_type="x/y")

    def looks(self) -> int:
        return self.fuse.steps.count("before exists")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    "name", ["a.safetensors", "a", "a.safetensors [6ce0161689]", "a [6ce0161689]", " a.safetensors "]
)
def test_a_model_has_many_names(bench: Bench, name: str) -> None:
    bench.upload("a.safetensors")
    assert bench.catalog.has(name)


def test_a_model_may_lie_in_a_folder(bench: Bench) -> None:
    bench.upload("xl/a.ckpt")
    assert bench.catalog.has("xl/a")


@pytest.mark.parametrize("name", ["../a", "/a", "", "a\x00", "x" * 600, "[6ce0161689]"])
def test_a_name_that_no_model_can_have_is_not_looked_up(bench: Bench, name: str) -> None:
    assert not bench.catalog.has(name)
    assert bench.looks() == 0


def test_what_was_found_is_remembered_for_a_minute(bench: Bench) -> None:
    bench.upload("a.safetensors")
    for _ in range(3):
        bench.catalog.has("a.safetensors")
    assert bench.looks() == 1
    bench.clock.advance(timedelta(seconds=61))
    bench.catalog.has("a.safetensors")
    assert bench.looks() == 2


def test_a_model_uploaded_after_a_refusal_is_there_at_once(bench: Bench) -> None:
    assert not bench.catalog.has("a.safetensors")
    bench.upload("a.safetensors")
    assert bench.catalog.has("a.safetensors")


def test_without_a_bucket_there_is_no_model() -> None:
    catalog = ModelCatalog(MemoryArtifactStore(), FakeClock(), None)
    assert not catalog.is_configured
    assert not catalog.has("a")
