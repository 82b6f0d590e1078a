"""What a finished prompt's history becomes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fake_comfyui import PNG, WORKFLOW, a_comfyui, a_comfyui_job, failure_of, recording, replay, with_outputs
from sdfleet.domain.retry import FailureKind
from sdfleet_scheduler.runtimes.base import FileReference, Generation


async def generation_of(outputs: dict[str, Any], content: dict[str, Any] | None = None) -> Generation:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(with_outputs(outputs))
        return await runtime.generate(a_comfyui_job(content=content), lambda _: None)


@pytest.mark.parametrize(
    ("history", "kind", "names"),
    [
        ("history_success", "images", ["img_00001_.png"]),
        ("history_batch3", "images", ["batch_00001_.png", "batch_00002_.png", "batch_00003_.png"]),
        ("history_animated_webp", "images", ["aw_00001_.webp"]),
        ("history_save_webm", "images", ["wm_00001_.webm"]),
        ("history_save_video_mp4", "images", ["vid_00001_.mp4"]),
        ("history_audio_SaveAudio", "audio", ["a_00002_.flac"]),
    ],
)
async def test_files_of_every_kind_are_read_back(history: str, kind: str, names: list[str]) -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay(history=history))
        generation = await runtime.generate(a_comfyui_job(), lambda _: None)
    assert [file.name for file in generation.files] == names
    told = generation.output["outputs"]["3"][kind]
    assert [entry["url"] for entry in told] == [FileReference(number) for number in range(len(names))]
    assert generation.output["status"]["status_str"] == "success"


async def test_latents_and_gifs_are_files_too() -> None:
    outputs = {
        "2": {"latents": [{"filename": "l_00001_.latent", "subfolder": "lat", "type": "output"}]},
        "3": {"gifs": [{"filename": "g.mp4", "subfolder": "", "type": "output", "format": "video/h264-mp4"}]},
    }
    generation = await generation_of(outputs)
    assert [file.name for file in generation.files] == ["l_00001_.latent", "g.mp4"]


async def test_where_something_was_saved_previews_are_no_results() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay(history="history_save_and_preview"))
        generation = await runtime.generate(a_comfyui_job(), lambda _: None)
    assert [file.name for file in generation.files] == ["two_00001_.png"]
    assert "url" not in generation.output["outputs"]["4"]["images"][0]


async def test_where_nothing_was_saved_previews_are_the_results() -> None:
    preview = {"filename": "ComfyUI_temp_bmkie_00001_.png", "subfolder": "", "type": "temp"}
    generation = await generation_of({"4": {"images": [preview]}})
    assert [file.data for file in generation.files] == [PNG]


async def test_files_are_numbered_by_the_workflow_and_not_by_what_ran_first() -> None:
    nodes = {node_id: {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}} for node_id in ("b", "a", "c")}
    outputs = {
        node_id: {"images": [{"filename": f"{node_id}.png", "subfolder": "", "type": "output"}]}
        for node_id in ("c", "made.by.another", "a", "b")
    }
    generation = await generation_of(outputs, {"1": WORKFLOW["1"], **nodes})
    assert [file.name for file in generation.files] == ["b.png", "a.png", "c.png", "made.by.another.png"]


async def test_a_file_that_two_entries_name_is_one_file() -> None:
    entry = {"filename": "x.png", "subfolder": "", "type": "output"}
    generation = await generation_of({"3": {"images": [entry], "gifs": [entry]}})
    assert len(generation.files) == 1
    assert generation.output["outputs"]["3"]["gifs"][0]["url"] == FileReference(0)


async def test_paths_on_the_server_are_not_told() -> None:
    entry = {
        "filename": "g.mp4",
        "subfolder": "",
        "type": "output",
        "frame_rate": 8.0,
        "fullpath": "/srv/comfyui/output/g.mp4",
        "workflow": "g.png",
    }
    generation = await generation_of({"3": {"gifs": [entry]}})
    assert generation.output["outputs"]["3"]["gifs"] == [
        {"filename": "g.mp4", "subfolder": "", "type": "output", "frame_rate": 8.0, "url": FileReference(0)}
    ]


async def test_the_content_type_is_the_servers() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.answer("GET", "/view", httpx.Response(200, content=PNG, headers={"Content-Type": "image/png"}))
        generation = await runtime.generate(a_comfyui_job(), lambda _: None)
    assert generation.files[0].content_type == "image/png"


async def test_a_text_is_a_result_without_files() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay(history="history_preview_any_text"))
        generation = await runtime.generate(a_comfyui_job(), lambda _: None)
    assert generation.files == ()
    assert generation.output["outputs"]["3"]["text"] == ["hello 2846658"]


@pytest.mark.parametrize(
    "history",
    ["history_execution_blocker_verbose", "history_output_node_without_ui", "history_cached_identical_no_client_id"],
)
async def test_a_success_without_any_output_is_a_failure_that_says_what_to_add(history: str) -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay(history=history))
        failure = await failure_of(runtime, a_comfyui_job())
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "no_outputs")
    assert "SaveImage" in str(failure)


@pytest.mark.parametrize("outputs", [{"3": {"images": []}}, {"3": {"images": [], "animated": [False]}}, {"3": {}}])
async def test_empty_lists_are_no_output(outputs: dict[str, Any]) -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(with_outputs(outputs))
        assert (await failure_of(runtime, a_comfyui_job())).code == "no_outputs"


async def test_a_file_that_is_gone_is_tried_again_without_the_cache() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.files = {}
        fake.plays.append(replay("ws_cached_identical", "history_cached_identical"))
        failure = await failure_of(runtime, a_comfyui_job())
        assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "output_missing")
        assert fake.bodies("/free") == [{"free_memory": True, "unload_models": False}]


async def test_one_missing_file_of_three_is_no_success() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.files = {("batch_00001_.png", "", "output"): PNG, ("batch_00003_.png", "", "output"): PNG}
        fake.plays.append(replay(history="history_batch3"))
        assert (await failure_of(runtime, a_comfyui_job())).code == "output_missing"


async def test_an_output_beside_a_failed_one_is_no_success() -> None:
    assert recording("history_err_one_of_two_outputs_runtime")["status"] == 200
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay(history="history_err_one_of_two_outputs_runtime"))
        assert (await failure_of(runtime, a_comfyui_job())).code == "execution_failed"
