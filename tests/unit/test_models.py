"""A task's models are on the instance before it runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sdfleet.domain.models import ModelKind
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import RuntimeType, TaskType
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.model_bucket import MemoryModelBucket
from sdfleet.ports import ModelObject
from sdfleet_scheduler.model_store import SYNCED, ModelStore
from sdfleet_scheduler.models import SERVER_BEHIND, Models
from sdfleet_scheduler.runtimes.base import RuntimeFailure

OWN, OTHER = "Stable-diffusion/own.safetensors", "Stable-diffusion/other.safetensors"
LORA, UPSCALER = "Lora/ink.safetensors", "ESRGAN/4x-UltraSharp.pth"
AT_ONCE = timedelta(0)
INK = {"prompt": "a dog <lora:ink:1>"}


class Bucket(MemoryModelBucket):
    """S3, which may be away."""

    is_away = False
    listings = 0

    def objects(self, prefix: str = "") -> list[ModelObject]:
        self.listings += 1
        if self.is_away:
            raise ServiceUnavailable
        return super().objects(prefix)


class Instance:
    def __init__(
        self,
        directory: Path,
        *,
        runtime: RuntimeType = RuntimeType.SDWEBUI,
        model: str | None = None,
        server_waits: bool = False,
    ) -> None:
        self.directory = directory
        self.bucket = Bucket()
        for key in (OWN, OTHER, LORA, UPSCALER):
            self.bucket.put(key, key.encode())
        self.arrived: list[frozenset[ModelKind]] = []
        self.fetched: list[set[str]] = []
        self.is_restartable = True
        self.restarts = 0
        self.store = ModelStore(self.bucket, directory, max_bytes=130)
        self.models = Models(
            self.store,
            runtime,
            model=model,
            on_arrival=self.arrived.append,
            on_fetched=lambda keys, seconds: self.fetched.append(set(keys)),
            on_behind=self._restart,
            server_waits=server_waits,
            retry_at_start=AT_ONCE,
        )

    def _restart(self) -> bool:
        self.restarts += self.is_restartable
        return self.is_restartable

    async def start(self) -> None:
        await self.models.start()

    async def synced(self) -> None:
        """Start, and return when what belongs to that is here."""
        await self.start()
        async with asyncio.timeout(5):
            while not self.models.is_synced:
                await asyncio.sleep(0.001)

    async def prepare(self, content: dict[str, Any], tasktype: TaskType = TaskType.TEXT_TO_IMAGE) -> set[str]:
        """What the task holds while it runs."""
        held = await self.models.prepare(tasktype, content)
        held.release()
        return set(held.keys)

    def files(self) -> set[str]:
        return {path.relative_to(self.directory).as_posix() for path in self.directory.rglob("*") if path.is_file()}


async def test_what_a_request_names_is_here_before_it_runs(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    settings = {"sd_model_checkpoint": "other"}
    assert await instance.prepare({**INK, "override_settings": settings}) == {OTHER, LORA}
    assert {OTHER, LORA} <= instance.files()


async def test_a_workflow_gets_the_models_it_names(tmp_path: Path) -> None:
    instance = Instance(tmp_path, runtime=RuntimeType.COMFYUI)
    graph = {"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "other.safetensors"}}}
    assert await instance.prepare(graph, TaskType.PIPELINE) == {OTHER}


async def test_the_server_is_told_what_kinds_have_come_and_only_when_they_do(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    await instance.prepare(INK)
    await instance.prepare(INK)
    assert instance.arrived == [frozenset({ModelKind.LORA})]


async def test_a_name_that_the_bucket_does_not_have_is_left_to_the_server(tmp_path: Path) -> None:
    assert await Instance(tmp_path).prepare({"override_settings": {"sd_model_checkpoint": "baked-in"}}) == set()


async def test_a_model_uploaded_a_moment_ago_is_found(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    await instance.prepare(INK)
    instance.bucket.put("Lora/new.safetensors", b"new")
    assert await instance.prepare({"prompt": "<lora:new:1>"}) == {"Lora/new.safetensors"}


async def test_names_that_are_there_cost_no_listing(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    for _ in range(3):
        await instance.prepare({**INK, "hr_upscaler": "Latent"})
    assert instance.bucket.listings == 1


async def test_without_a_bucket_nothing_is_done() -> None:
    models = Models(None, RuntimeType.SDWEBUI, model="own")
    await models.start()
    (await models.prepare(TaskType.TEXT_TO_IMAGE, INK)).release()
    await models.close()


async def test_a_server_of_another_kind_has_no_such_models(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "models", runtime=RuntimeType.CUSTOM)
    await instance.start()
    assert await instance.prepare(INK) == set()
    assert not (tmp_path / "models").exists()


async def test_the_runtimes_own_model_and_what_the_webui_reads_once_are_fetched_at_the_start(tmp_path: Path) -> None:
    instance = Instance(tmp_path, model="own.safetensors")
    await instance.start()
    while not instance.models.is_synced:
        await asyncio.sleep(0.001)
    await instance.models.close()
    assert instance.files() == {OWN, UPSCALER, SYNCED}


async def test_the_runtimes_own_model_is_never_evicted(tmp_path: Path) -> None:
    instance = Instance(tmp_path, model="own.safetensors")
    await instance.start()
    while not instance.arrived:
        await asyncio.sleep(0.001)
    for number in range(4):
        instance.bucket.put(f"Lora/{number}.safetensors", bytes(60))
        await instance.prepare({"prompt": f"<lora:{number}:1>"})
    assert OWN in instance.files()
    assert "Lora/0.safetensors" not in instance.files()
    await instance.models.close()


async def test_a_start_without_s3_is_tried_again(tmp_path: Path) -> None:
    instance = Instance(tmp_path, model="own.safetensors")
    instance.bucket.is_away = True
    await instance.start()
    await asyncio.sleep(0.01)
    assert not instance.models.is_synced
    instance.bucket.is_away = False
    while not instance.arrived:
        await asyncio.sleep(0.001)
    await instance.models.close()


async def test_while_s3_is_away_a_task_whose_models_are_here_goes_on(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    await instance.prepare(INK)
    instance.bucket.is_away = True
    later = Instance(tmp_path)
    later.bucket.is_away = True
    await later.store.start()
    assert await later.prepare(INK) == {LORA}


async def test_while_s3_is_away_nothing_is_said_to_be_missing(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    instance.bucket.is_away = True
    with pytest.raises(RuntimeFailure, match=r"content.prompt: the model bucket cannot be read") as caught:
        await instance.prepare(INK)
    assert caught.value.kind is FailureKind.TRANSIENT


async def test_a_webui_is_used_once_it_can_have_the_files_that_it_reads_at_its_start(tmp_path: Path) -> None:
    instance = Instance(tmp_path, model="own.safetensors")
    assert not instance.models.is_synced
    await instance.synced()
    assert {OWN, UPSCALER} <= instance.files()
    await instance.models.close()


async def test_a_webui_that_may_have_started_before_its_files_came_is_started_again_once(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    await instance.synced()
    assert instance.restarts == 1
    await instance.models.close()
    later = Instance(tmp_path)
    await later.synced()
    assert later.restarts == 0
    await later.models.close()


async def test_a_webui_that_waits_for_its_files_is_not_started_twice(tmp_path: Path) -> None:
    instance = Instance(tmp_path, server_waits=True)
    await instance.synced()
    assert instance.restarts == 0
    await instance.models.close()


async def test_an_own_model_that_can_never_fit_is_trouble(tmp_path: Path) -> None:
    instance = Instance(tmp_path, model="own.safetensors")
    instance.bucket.put(OWN, bytes(1000))
    await instance.synced()
    assert "the instance's model cache holds" in str(instance.models.trouble)
    await instance.models.close()


async def test_comfyui_looks_for_itself_and_is_used_at_once(tmp_path: Path) -> None:
    instance = Instance(tmp_path, runtime=RuntimeType.COMFYUI)
    await instance.start()
    assert instance.models.is_synced
    await instance.models.close()
    assert instance.restarts == 0


async def test_what_can_never_fit_does_not_keep_an_instance_from_the_rest(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    instance.bucket.put("ESRGAN/huge.pth", bytes(1000))
    await instance.synced()
    assert instance.models.trouble is None
    await instance.models.close()


async def test_a_file_for_the_start_that_came_later_restarts_the_server_and_the_task_waits_elsewhere(
    tmp_path: Path,
) -> None:
    instance = Instance(tmp_path)
    await instance.synced()
    instance.bucket.put("hypernetworks/new.pt", b"new")
    task = {"prompt": "a dog <hypernet:new:1>"}
    with pytest.raises(RuntimeFailure, match=r"hypernetworks/new\.pt only when it starts") as caught:
        await instance.prepare(task)
    assert (caught.value.kind, caught.value.code) == (FailureKind.TRANSIENT, SERVER_BEHIND)
    assert instance.restarts == 2
    assert await instance.prepare(task) == {"hypernetworks/new.pt"}
    await instance.models.close()


async def test_it_is_never_evicted_then(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    await instance.synced()
    instance.bucket.put("hypernetworks/new.pt", b"new")
    with pytest.raises(RuntimeFailure):
        await instance.prepare({"prompt": "<hypernet:new:1>"})
    for number in range(4):
        instance.bucket.put(f"Lora/{number}.safetensors", bytes(60))
        await instance.prepare({"prompt": f"<lora:{number}:1>"})
    assert "hypernetworks/new.pt" in instance.files()
    await instance.models.close()


async def test_where_nobody_may_restart_the_server_it_says_itself_what_it_lacks(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    instance.is_restartable = False
    await instance.synced()
    instance.bucket.put("hypernetworks/new.pt", b"new")
    assert await instance.prepare({"prompt": "<hypernet:new:1>"}) == {"hypernetworks/new.pt"}
    await instance.models.close()


async def test_what_a_task_waited_for_is_told_once(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    await instance.prepare(INK)
    await instance.prepare(INK)
    assert instance.fetched == [{LORA}]
