"""Models that come while a WebUI runs: from the bucket to a picture, and the proof of what made it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdfleet.domain.models import ModelKind
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import RuntimeType, TaskType
from sdfleet.memory.model_bucket import MemoryModelBucket
from sdfleet_scheduler.model_store import ModelStore
from sdfleet_scheduler.models import Models
from sdfleet_scheduler.runtimes.base import Generation, RuntimeFailure
from webui_double import WebUi, a_webui_job, set_info

NEW = "dreamy.safetensors"
NEW_KEY = f"Stable-diffusion/{NEW}"


class WebUiWithDisk(WebUi):
    """Has read its directory when it started, and does again only when told; hashes a file when it first loads it."""

    def __init__(self, directory: Path, flavour: str = "a1111") -> None:
        super().__init__(flavour)
        self.directory = directory
        self.loras: list[str] = []
        self.controlnets = ["canny [d14c016b]"]
        self.has_loras = True

    def _list(self, route: str) -> httpx.Response:
        if route == "refresh-checkpoints":
            known = {entry["model_name"] for entry in self.checkpoints}
            found = [path for path in (self.directory / "Stable-diffusion").glob("*") if path.stem not in known]
            self.unseen_checkpoints = [
                {"title": path.name, "model_name": path.stem, "hash": None, "sha256": None, "filename": str(path)}
                for path in found
            ]
        if route == "refresh-loras":
            self.loras = [path.stem for path in (self.directory / "Lora").glob("*")]
            return httpx.Response(200, json=None)
        if route == "refresh-embeddings":
            return httpx.Response(200, json=None)
        if route == "loras" and self.has_loras:
            return httpx.Response(200, json=[{"name": name, "alias": f"{name}-v1"} for name in self.loras])
        if route == "/controlnet/model_list":
            return httpx.Response(200, json={"model_list": self.controlnets})
        return super()._list(route)

    def _pictures(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = super()._pictures(body)
        wanted = body["override_settings"].get("sd_model_checkpoint")
        for entry in self.checkpoints:
            if entry["title"].split(" [")[0] == wanted and entry["model_name"] == Path(NEW).stem:
                digest = hashlib.sha256(Path(entry["filename"]).read_bytes()).hexdigest()
                entry |= {"title": f"{wanted} [{digest[:10]}]", "hash": digest[:10], "sha256": digest}
                set_info(answer, sd_model_hash=digest[:10])
        return answer


class Instance:
    """A dynamic WebUI with its models, as the composition puts them together."""

    def __init__(self, directory: Path, flavour: str = "a1111") -> None:
        self.bucket = MemoryModelBucket()
        self.webui = WebUiWithDisk(directory, flavour)
        self.runtime = self.webui.runtime()
        self.models = Models(
            ModelStore(self.bucket, directory, max_bytes=1000),
            RuntimeType.SDWEBUI,
            on_arrival=self.runtime.models_arrived,
        )

    async def run(self, **changes: Any) -> Generation:
        """As the executor does."""
        job = a_webui_job(**{"model": None, **changes})
        held = await self.models.prepare(job.tasktype, job.content)
        try:
            return await self.runtime.generate(job, lambda share: None)
        finally:
            held.release()

    async def refusal(self, **changes: Any) -> str:
        with pytest.raises(RuntimeFailure) as caught:
            await self.run(**changes)
        assert caught.value.kind is FailureKind.PERMANENT
        assert not self.webui.generations
        return f"{caught.value.code}: {caught.value}"


@pytest.fixture(params=["a1111", "forge"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Instance:
    return Instance(tmp_path, request.param)


def choosing(name: str) -> dict[str, Any]:
    return {"override_settings": {"sd_model_checkpoint": name}}


async def test_a_request_gets_a_model_that_only_the_bucket_has(instance: Instance) -> None:
    instance.bucket.put(NEW_KEY, b"weights")

    generation = await instance.run(**choosing("dreamy"))

    assert len(generation.files) == 1
    assert instance.webui.generations[0]["override_settings"]["sd_model_checkpoint"] == NEW
    assert len(instance.webui.sent("/sdapi/v1/refresh-checkpoints")) == 1


async def test_it_is_fetched_and_looked_for_once(instance: Instance) -> None:
    instance.bucket.put(NEW_KEY, b"weights")

    for _ in range(3):
        await instance.run(**choosing("dreamy"))

    assert len(instance.bucket.reads) == 1
    assert len(instance.webui.sent("/sdapi/v1/refresh-checkpoints")) == 1


async def test_a_new_models_first_picture_is_checked_by_hash(instance: Instance) -> None:
    """By name the answer looks right; the hash says that another file of that name was loaded."""
    instance.bucket.put(NEW_KEY, b"weights")
    instance.webui.edit = lambda answer: set_info(answer, sd_model_hash="0123456789")

    with pytest.raises(RuntimeFailure) as caught:
        await instance.run(**choosing("dreamy"))

    assert caught.value.code == "wrong_model"
    assert "dreamy [0123456789] instead of dreamy.safetensors" in str(caught.value)


async def test_a_model_that_neither_server_nor_bucket_has_is_named(instance: Instance) -> None:
    said = await instance.refusal(**choosing("nowhere.safetensors"))
    assert said.startswith(
        "model_not_found: content.override_settings.sd_model_checkpoint: the WebUI has no checkpoint"
    )
    assert "'nowhere.safetensors'" in said


async def test_the_server_looks_for_new_files_only_between_jobs(instance: Instance) -> None:
    instance.bucket.put(NEW_KEY, b"weights")
    instance.webui.busy = asyncio.Event()
    first = asyncio.create_task(instance.run())
    await instance.webui.running.wait()

    second = asyncio.create_task(instance.models.prepare(TaskType.TEXT_TO_IMAGE, choosing("dreamy")))
    (await second).release()
    assert not instance.webui.sent("/sdapi/v1/refresh-checkpoints")

    instance.webui.busy.set()
    await first
    instance.webui.busy = None
    await instance.run(**choosing("dreamy"))
    assert len(instance.webui.sent("/sdapi/v1/refresh-checkpoints")) == 1


async def test_a_lora_comes_from_the_bucket_too(instance: Instance) -> None:
    instance.bucket.put("Lora/ink.safetensors", b"weights")

    await instance.run(prompt="a dog <lora:ink:0.8>")

    assert instance.webui.generations[0]["prompt"] == "a dog <lora:ink:0.8>"
    assert len(instance.webui.sent("/sdapi/v1/refresh-loras")) == 1


async def test_an_unknown_lora_would_silently_be_left_out(instance: Instance) -> None:
    lora = instance.webui.directory / "Lora" / "inkwash.safetensors"
    lora.parent.mkdir()
    lora.write_bytes(b"weights")
    said = await instance.refusal(prompt="a dog <lora:inkwish:0.8>")
    assert said.startswith("model_not_found: content.prompt: the WebUI has no LoRA 'inkwish'. Near it are 'inkwash'")


async def test_a_lora_may_be_named_by_its_alias(instance: Instance) -> None:
    instance.webui.loras = ["ink"]
    await instance.run(prompt="a dog <lora:ink-v1:0.8>")
    assert len(instance.webui.generations) == 1


async def test_a_server_without_a_list_of_loras_is_trusted(instance: Instance) -> None:
    instance.webui.has_loras = False
    await instance.run(prompt="a dog <lora:ink:0.8>")
    assert len(instance.webui.generations) == 1


@pytest.mark.parametrize("name", ["canny", "canny [d14c016b]"])
async def test_controlnet_models_are_known_with_and_without_their_hash(instance: Instance, name: str) -> None:
    await instance.run(alwayson_scripts={"controlnet": {"args": [{"model": name}]}})
    assert len(instance.webui.generations) == 1


async def test_an_unknown_controlnet_model_is_named_with_its_place(instance: Instance) -> None:
    said = await instance.refusal(alwayson_scripts={"controlnet": {"args": [{"model": "depth"}]}})
    assert said.startswith(
        "model_not_found: content.alwayson_scripts.controlnet.args[0].model: the WebUI has no ControlNet model 'depth'"
    )


async def test_a_look_that_fails_is_made_again_before_the_next_job(instance: Instance) -> None:
    instance.runtime.models_arrived(frozenset({ModelKind.EMBEDDING}))
    asked = instance.webui._list
    instance.webui._list = unreachable  # type: ignore[method-assign]
    with pytest.raises(RuntimeFailure):
        await instance.run()
    instance.webui._list = asked  # type: ignore[method-assign]
    await instance.run()
    assert len(instance.webui.sent("/sdapi/v1/refresh-embeddings")) == 2


def unreachable(route: str) -> httpx.Response:
    raise httpx.ReadError("gone")
