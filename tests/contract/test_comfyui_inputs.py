"""What a task's content becomes before ComfyUI gets it."""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import Any

import httpx
import pytest

from fake_comfyui import PNG, WORKFLOW, a_comfyui, a_comfyui_job, failure_of, recording
from sdfleet.domain.content import Path
from sdfleet.domain.retry import FailureKind
from sdfleet_scheduler.runtimes.base import InputFile, Job

LINK = "https://example.com/in.png"
POISON: dict[str, Any] = recording("poison_prompts")
#: Those whose poison stands in the graph; the others' stands beside it, which is never forwarded.
IN_THE_GRAPH = (
    "dead_branch_no_inputs_key",
    "dead_branch_link_missing_node",
    "dead_branch_cycle",
    "node_not_a_dict",
)


def loading(value: Any, *, node: str = "LoadImage", name: str = "image") -> dict[str, Any]:
    return {
        "1": {"class_type": node, "inputs": {name: value}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


def a_file(path: Path = ("1", "inputs", "image"), data: bytes = PNG, name: str = "in.png") -> InputFile:
    return InputFile(path=path, name=name, content_type="image/png", data=data)


async def submitted(job: Job) -> tuple[dict[str, Any], list[bytes]]:
    """The body that reached `/prompt`, and the uploads before it."""
    async with a_comfyui() as (fake, runtime):
        await runtime.generate(job, lambda _: None)
        return fake.submitted[0].body, fake.bodies("/upload/image")


@pytest.mark.parametrize("name", IN_THE_GRAPH)
async def test_a_workflow_that_would_wedge_the_server_never_reaches_it(name: str) -> None:
    async with a_comfyui() as (fake, runtime):
        failure = await failure_of(runtime, a_comfyui_job(content=POISON[name]["body"]))
        assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "invalid_workflow")
        assert "content.prompt." in str(failure)
        assert fake.seen == []


@pytest.mark.parametrize("name", sorted(POISON.keys() - set(IN_THE_GRAPH)))
async def test_nothing_that_stands_beside_the_graph_is_forwarded(name: str) -> None:
    body, _ = await submitted(a_comfyui_job(content=POISON[name]["body"]))
    assert body.keys() == {"prompt", "prompt_id", "client_id"}
    assert isinstance(body["client_id"], str)
    assert body["prompt_id"] not in ("12345", "dup-id", "dup-id2")


async def test_of_a_node_only_class_and_inputs_are_forwarded() -> None:
    content = deepcopy(WORKFLOW)
    content["2"] |= {"_meta": {"title": LINK}, "is_changed": [1]}
    body, uploads = await submitted(a_comfyui_job(a_file(("2", "_meta", "title")), content=content))
    assert body["prompt"]["2"] == WORKFLOW["2"]
    assert uploads == []


async def test_each_run_saves_into_a_folder_of_its_own() -> None:
    async with a_comfyui() as (fake, runtime):
        for _ in range(2):
            await runtime.generate(a_comfyui_job(try_id="try-1"), lambda _: None)
        first, second = (prompt.graph["3"]["inputs"]["filename_prefix"] for prompt in fake.submitted)
    assert first.startswith("sdfleet/try-1-")
    assert first.endswith("/3")
    assert first != second


async def test_a_linked_prefix_is_replaced_too() -> None:
    content = deepcopy(WORKFLOW)
    content["3"]["inputs"]["filename_prefix"] = ["2", 0]
    body, _ = await submitted(a_comfyui_job(content=content))
    assert body["prompt"]["3"]["inputs"]["filename_prefix"].startswith("sdfleet/")


async def test_a_subgraphs_node_id_makes_a_plain_file_name() -> None:
    content = {"1": WORKFLOW["1"], "12:3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}
    body, _ = await submitted(a_comfyui_job(content=content))
    assert body["prompt"]["12:3"]["inputs"]["filename_prefix"].endswith("/12_3")


async def test_pictures_for_the_websocket_are_saved_as_files() -> None:
    content = deepcopy(WORKFLOW)
    content["3"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["2", 0]}}
    body, _ = await submitted(a_comfyui_job(content=content))
    assert body["prompt"]["3"]["class_type"] == "SaveImage"
    assert body["prompt"]["3"]["inputs"]["images"] == ["2", 0]
    assert body["prompt"]["3"]["inputs"]["filename_prefix"].endswith("/3")


async def test_half_a_character_in_a_prompt_reaches_the_server() -> None:
    content = WORKFLOW | {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a \ud83d dog", "clip": ["1", 0]}}}
    body, _ = await submitted(a_comfyui_job(content=content))
    assert body["prompt"]["6"]["inputs"]["text"] == "a \ud83d dog"


async def test_the_submitted_content_stays_as_it_was() -> None:
    job = a_comfyui_job(a_file(), content=loading(LINK))
    before = deepcopy(job.content)
    await submitted(job)
    assert job.content == before


async def test_a_linked_file_is_uploaded_and_its_name_put_in_place() -> None:
    body, uploads = await submitted(a_comfyui_job(a_file(), content=loading(LINK)))
    value = body["prompt"]["1"]["inputs"]["image"]
    assert value.startswith("sdfleet/")
    assert value.endswith(".png")
    assert PNG in uploads[0]


async def test_a_link_in_a_wrapped_workflow_is_found() -> None:
    job = a_comfyui_job(a_file(("prompt", "1", "inputs", "image")), content={"prompt": loading(LINK), "client_id": "x"})
    body, _ = await submitted(job)
    assert body["prompt"]["1"]["inputs"]["image"].startswith("sdfleet/")


async def test_the_name_that_the_server_returned_is_used() -> None:
    async with a_comfyui() as (fake, runtime):
        for name in ("upload_same_name_other_content", "upload_subfolder"):
            fake.answer("POST", "/upload/image", httpx.Response(200, json=recording(name)["body"]))
        for _ in range(2):
            await runtime.generate(a_comfyui_job(a_file(), content=loading(LINK)), lambda _: None)
        names = [prompt.graph["1"]["inputs"]["image"] for prompt in fake.submitted]
    assert names == ["in (1).png", "job/1/in.png"]


async def test_the_same_bytes_are_uploaded_once_under_one_name() -> None:
    content = loading(LINK) | {"2": {"class_type": "LoadImageMask", "inputs": {"image": LINK, "channel": "red"}}}
    files = (a_file(name="in-1.png"), a_file(("2", "inputs", "image"), name="in-2.png"))
    body, uploads = await submitted(a_comfyui_job(*files, content=content))
    assert len(uploads) == 1
    assert body["prompt"]["1"]["inputs"]["image"] == body["prompt"]["2"]["inputs"]["image"]


async def test_a_video_keeps_its_extension() -> None:
    video = InputFile(path=("1", "inputs", "file"), name="in.mp4", content_type="video/mp4", data=b"video")
    body, _ = await submitted(a_comfyui_job(video, content=loading(LINK, node="LoadVideo", name="file")))
    assert body["prompt"]["1"]["inputs"]["file"].endswith(".mp4")


@pytest.mark.parametrize("prefix", ["data:image/png;base64,", ""])
async def test_an_inlined_picture_is_uploaded(prefix: str) -> None:
    picture = PNG + bytes(300)
    content = loading(prefix + base64.b64encode(picture).decode())
    body, uploads = await submitted(a_comfyui_job(content=content))
    assert body["prompt"]["1"]["inputs"]["image"].endswith(".png")
    assert picture in uploads[0]


async def test_an_inlined_sound_of_a_declared_type_is_uploaded() -> None:
    content = loading("data:audio/aac;base64," + base64.b64encode(b"sound").decode(), node="LoadAudio", name="audio")
    _, uploads = await submitted(a_comfyui_job(content=content))
    assert b"sound" in uploads[0]


@pytest.mark.parametrize(
    "value", ["data:image/png;base64,AAAA", "data:image/png;base64,%%%", "x" * 300, "no words " * 60]
)
async def test_an_inlined_picture_that_is_none_fails_for_good_and_names_its_field(value: str) -> None:
    async with a_comfyui() as (fake, runtime):
        failure = await failure_of(runtime, a_comfyui_job(content=loading(value)))
        assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "invalid_input")
        assert "content.1.inputs.image" in str(failure)
        assert fake.submitted == []


async def test_a_file_on_the_server_is_left_to_the_server() -> None:
    body, uploads = await submitted(a_comfyui_job(content=loading("example.png")))
    assert body["prompt"]["1"]["inputs"]["image"] == "example.png"
    assert uploads == []


async def test_a_node_that_takes_base64_gets_base64() -> None:
    inlined = "data:image/png;base64," + base64.b64encode(PNG).decode()
    content = loading(inlined, node="ETN_LoadImageBase64") | {
        "2": {"class_type": "LoadImageFromBase64", "inputs": {"data": LINK}}
    }
    body, uploads = await submitted(a_comfyui_job(a_file(("2", "inputs", "data")), content=content))
    assert body["prompt"]["1"]["inputs"]["image"] == inlined
    assert base64.b64decode(body["prompt"]["2"]["inputs"]["data"]) == PNG
    assert uploads == []


async def test_a_file_too_large_for_the_server_fails_for_good_and_names_its_field() -> None:
    recorded = recording("upload_too_big")
    async with a_comfyui() as (fake, runtime):
        fake.answer("POST", "/upload/image", httpx.Response(recorded["status"], text=recorded["body"]))
        failure = await failure_of(runtime, a_comfyui_job(a_file(), content=loading(LINK)))
    assert failure.kind is FailureKind.PERMANENT
    assert "content.1.inputs.image" in str(failure)


async def test_an_upload_to_a_server_that_is_gone_is_a_lost_runtime() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.is_dead = True
        failure = await failure_of(runtime, a_comfyui_job(a_file(), content=loading(LINK)))
    assert failure.kind is FailureKind.RUNTIME_LOST
