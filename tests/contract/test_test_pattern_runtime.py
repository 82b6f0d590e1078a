"""The runtime without a model: what is on its pictures, and what its answers look like."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from PIL import Image

from pictures_for_tests import a_png, decoded, encoded
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import JsonObject, TaskType
from sdfleet_scheduler.runtimes.base import FileReference, Generation, InputFile, Job, RuntimeFailure
from sdfleet_scheduler.runtimes.test_pattern import TestPatternRuntime

MARK = "TEST PATTERN - no model ran"
RED, BLUE = (255, 0, 0), (0, 0, 255)
LINK = "https://pictures.example/a.png?X-Amz-Signature=secret"


def a_job(content: JsonObject, tasktype: TaskType = TaskType.TEXT_TO_IMAGE, **changes: Any) -> Job:
    return Job(**{"task_id": "t", "run": "r", "try_id": "t-1", "tasktype": tasktype, "content": content, **changes})


async def generated(content: JsonObject, tasktype: TaskType = TaskType.TEXT_TO_IMAGE, **changes: Any) -> Generation:
    return await TestPatternRuntime().generate(a_job(content, tasktype, **changes), lambda share: None)


async def refusal_of(content: JsonObject, tasktype: TaskType = TaskType.TEXT_TO_IMAGE, **changes: Any) -> str:
    with pytest.raises(RuntimeFailure) as caught:
        await generated(content, tasktype, **changes)
    assert caught.value.kind is FailureKind.PERMANENT
    return str(caught.value)


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def a_linked_picture(*path: str | int, colour: str = "red") -> InputFile:
    return InputFile(path=path, name="a-1.png", content_type="image/png", data=a_png(16, 16, colour))


def the_middle_of(data: bytes) -> Any:
    picture = decoded(data).convert("RGB")
    return picture.getpixel((picture.width // 2, picture.height // 2))


def parameters_of(data: bytes) -> str:
    return str(decoded(data).info["parameters"])


async def test_it_is_ready_at_once() -> None:
    assert await TestPatternRuntime().is_ready()


async def test_a_picture_has_exactly_the_asked_size_and_is_a_png() -> None:
    (file,) = (await generated({"prompt": "a dog", "width": 333, "height": 77})).files
    assert decoded(file.data).size == (333, 77)
    assert decoded(file.data).format == "PNG"


async def test_the_size_is_the_webuis_when_none_is_asked() -> None:
    assert decoded((await generated({})).files[0].data).size == (512, 512)


@pytest.mark.parametrize("side", [8, 9, 16, 40])
async def test_the_smallest_pictures_are_drawn_too(side: int) -> None:
    (file,) = (await generated({"prompt": "x" * 5000, "width": side, "height": side})).files
    assert decoded(file.data).size == (side, side)


async def test_the_text_says_what_was_asked_and_that_no_model_ran() -> None:
    (file,) = (await generated({"prompt": "a dog", "steps": 16, "seed": 42, "negative_prompt": "cats"})).files
    assert parameters_of(file.data) == (
        f"a dog\nNegative prompt: cats\nSteps: 16, Seed: 42, Size: 512x512, Model: {MARK}"
    )


async def test_the_drawn_text_follows_the_prompt() -> None:
    first, second = [(await generated({"prompt": prompt, "seed": 1})).files[0].data for prompt in ("a dog", "a cat")]
    assert decoded(first).tobytes() != decoded(second).tobytes()


@pytest.mark.parametrize("prompt", ["日本語の長い文章", "\ud800 half a pair", "\x00\x1b[31m", "👩‍🚀", "a\nb\tc", " "])
async def test_any_prompt_can_be_drawn(prompt: str) -> None:
    generation = await generated({"prompt": prompt, "width": 128, "height": 128})
    assert decoded(generation.files[0].data).size == (128, 128)
    assert json.loads(generation.output["info"])["seed"] > 0


async def test_a_seed_gives_the_same_picture_again() -> None:
    first, again, other = [(await generated({"seed": seed})).files[0].data for seed in (7, 7, 8)]
    assert first == again
    assert first != other


@pytest.mark.parametrize("content", [{}, {"seed": -1}, {"seed": None}])
async def test_without_a_seed_a_run_has_its_own_which_a_replay_has_too(content: JsonObject) -> None:
    first = (await generated(content)).files[0].data
    assert first == (await generated(content, try_id="t-2")).files[0].data
    assert first != (await generated(content, run="r2")).files[0].data


async def test_a_batch_counts_its_seeds_up() -> None:
    generation = await generated({"seed": 5, "batch_size": 2, "n_iter": 3, "width": 64, "height": 64})
    assert len({file.data for file in generation.files}) == 6
    assert [parameters_of(file.data).split("Seed: ")[1][:2] for file in generation.files] == [
        "5,", "6,", "7,", "8,", "9,", "10",
    ]  # fmt: skip
    assert json.loads(generation.output["info"])["all_seeds"] == [5, 6, 7, 8, 9, 10]
    assert generation.output["images"] == [FileReference(index) for index in range(6)]


async def test_the_answer_has_the_webuis_form() -> None:
    generation = await generated({"prompt": "a dog", "seed": 3})
    assert generation.output.keys() == {"images", "parameters", "info"}
    assert generation.output["parameters"] == {"prompt": "a dog", "seed": 3}
    info = json.loads(generation.output["info"])
    assert (info["prompt"], info["seed"], info["sd_model_name"]) == ("a dog", 3, MARK)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"width": 7}, "content.width is 7; it must be a whole number from 8 to 4096."),
        ({"height": 4097}, "content.height is 4097; it must be a whole number from 8 to 4096."),
        ({"width": "wide"}, "content.width is a str; it must be a whole number from 8 to 4096."),
        ({"width": 10.5}, "content.width is 10.5; it must be a whole number from 8 to 4096."),
        ({"steps": 0}, "content.steps is 0; it must be a whole number from 1 to 10000."),
        ({"batch_size": 65}, "content.batch_size is 65; it must be a whole number from 1 to 64."),
        (
            {"batch_size": 9, "n_iter": 8},
            "content.n_iter times batch_size is 72; at most 64 pictures are drawn.",
        ),
        ({"seed": True}, f"content.seed is True; it must be a whole number from -1 to {2**64}."),
        ({"prompt": ["a"]}, "content.prompt must be text."),
        ({"test_pattern_seconds": -1}, "content.test_pattern_seconds is -1; it must be a number from 0 to 43200."),
        (
            {"test_pattern_seconds": float("nan")},
            "content.test_pattern_seconds is nan; it must be a number from 0 to 43200.",
        ),
        ({"test_pattern_seconds": "1"}, "content.test_pattern_seconds is a str; it must be a number from 0 to 43200."),
    ],
)
async def test_a_value_that_cannot_be_drawn_is_named(content: JsonObject, problem: str) -> None:
    assert await refusal_of(content) == problem


async def test_every_wrong_value_is_named_at_once() -> None:
    problem = await refusal_of({"width": 1, "height": 2, "prompt": 3})
    assert [f"content.{name}" in problem for name in ("width", "height", "prompt")] == [True, True, True]


@pytest.mark.parametrize("width", [64.0, "64"])
async def test_a_whole_number_in_another_form_is_one_too(width: Any) -> None:
    assert decoded((await generated({"width": width})).files[0].data).width == 64


async def test_the_initial_picture_is_seen_in_the_middle() -> None:
    for image in (in_base64(a_png(16, 16)), f"data:image/png;base64,{in_base64(a_png(16, 16))}"):
        generation = await generated({"init_images": [image]}, TaskType.IMAGE_TO_IMAGE)
        assert the_middle_of(generation.files[0].data) == RED
        assert generation.output["parameters"] == {"init_images": [None]}


async def test_a_linked_initial_picture_is_seen_and_its_link_is_not_written() -> None:
    generation = await generated(
        {"init_images": [LINK]}, TaskType.IMAGE_TO_IMAGE, inputs=(a_linked_picture("init_images", 0),)
    )
    assert the_middle_of(generation.files[0].data) == RED
    assert "secret" not in json.dumps(generation.output["parameters"])


async def test_several_initial_pictures_take_turns() -> None:
    images = [in_base64(a_png(16, 16, colour)) for colour in ("red", "blue")]
    generation = await generated({"init_images": images, "batch_size": 3}, TaskType.IMAGE_TO_IMAGE)
    assert [the_middle_of(file.data) for file in generation.files] == [RED, BLUE, RED]


@pytest.mark.parametrize(
    ("content", "tasktype", "field"),
    [
        ({"init_images": [in_base64(b"no picture")]}, TaskType.IMAGE_TO_IMAGE, "init_images[0]"),
        ({"init_images": ["?"]}, TaskType.IMAGE_TO_IMAGE, "init_images[0]"),
        ({"init_images": [7]}, TaskType.IMAGE_TO_IMAGE, "init_images[0]"),
        ({"init_images": []}, TaskType.IMAGE_TO_IMAGE, "init_images"),
        ({"init_images": [in_base64(a_png())], "mask": "?"}, TaskType.IMAGE_TO_IMAGE, "mask"),
        ({"image": in_base64(a_png()[:45])}, TaskType.EXTRA_SINGLE_IMAGE, "image"),
        ({}, TaskType.EXTRA_SINGLE_IMAGE, "image"),
        ({"imageList": [{"data": "?", "name": "a"}]}, TaskType.EXTRA_BATCH_IMAGES, "imageList[0].data"),
        ({}, TaskType.EXTRA_BATCH_IMAGES, "imageList"),
    ],
)
async def test_what_is_no_picture_is_named(content: JsonObject, tasktype: TaskType, field: str) -> None:
    assert (await refusal_of(content, tasktype)).startswith(f"content.{field} is ")


async def test_postscript_is_no_picture() -> None:
    problem = await refusal_of({"image": in_base64(b"%!PS-Adobe-3.0 EPSF-3.0\n")}, TaskType.EXTRA_SINGLE_IMAGE)
    assert "cannot be decoded" in problem


async def test_a_picture_with_too_many_pixels_is_refused_unopened() -> None:
    large = encoded(Image.new("1", (9000, 9000)), "PNG")
    problem = await refusal_of({"image": in_base64(large)}, TaskType.EXTRA_SINGLE_IMAGE)
    assert "it has 9000 x 9000 pixels; at most 67108864 are taken" in problem


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"upscaling_resize": 3}, (90, 60)),
        ({"upscaling_resize": 0.5}, (15, 10)),
        ({}, (60, 40)),
        ({"resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 50}, (50, 50)),
        ({"resize_mode": 1, "upscaling_resize_w": 60, "upscaling_resize_h": 60, "upscaling_crop": False}, (90, 60)),
        ({"upscaling_resize": 64, "resize_mode": 0}, (1920, 1280)),
    ],
)
async def test_an_upscaled_picture_has_the_size_the_webui_would_give_it(
    options: JsonObject, size: tuple[int, int]
) -> None:
    generation = await generated({"image": in_base64(a_png(30, 20)), **options}, TaskType.EXTRA_SINGLE_IMAGE)
    assert decoded(generation.files[0].data).size == size
    assert the_middle_of(generation.files[0].data) == RED
    assert generation.output["image"] == FileReference(0)
    assert MARK in generation.output["html_info"]


async def test_an_upscaled_side_has_a_limit() -> None:
    generation = await generated(
        {"image": in_base64(a_png(2000, 1)), "upscaling_resize": 8}, TaskType.EXTRA_SINGLE_IMAGE
    )
    assert decoded(generation.files[0].data).width == 8192


async def test_a_batch_of_pictures_is_resized_in_order() -> None:
    generation = await generated(
        {"imageList": [{"data": LINK, "name": "a"}, {"data": in_base64(a_png(8, 8, "blue")), "name": "b"}]},
        TaskType.EXTRA_BATCH_IMAGES,
        inputs=(a_linked_picture("imageList", 0, "data"),),
    )
    assert [the_middle_of(file.data) for file in generation.files] == [RED, BLUE]
    assert generation.output["images"] == [FileReference(0), FileReference(1)]


A_WORKFLOW: JsonObject = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 8, "steps": 20, "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]},
    },
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 64, "batch_size": 2}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "cats"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
}


@pytest.mark.parametrize("content", [A_WORKFLOW, {"prompt": A_WORKFLOW}])
async def test_a_workflow_is_walked_for_what_it_asks(content: JsonObject) -> None:
    generation = await generated(content, TaskType.PIPELINE)
    assert [decoded(file.data).size for file in generation.files] == [(96, 64), (96, 64)]
    assert parameters_of(generation.files[0].data).startswith("a dog\nSteps: 20, Seed: 8, ")
    assert generation.output == {"outputs": {"9": {"images": [FileReference(0), FileReference(1)]}}}


async def test_every_output_node_has_its_own_pictures() -> None:
    workflow = {**A_WORKFLOW, "10": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}}
    generation = await generated(workflow, TaskType.PIPELINE)
    assert generation.output["outputs"]["10"]["images"] == [FileReference(2), FileReference(3)]
    assert len({file.data for file in generation.files}) == 4


@pytest.mark.parametrize("wrap", [lambda graph: graph, lambda graph: {"prompt": graph}])
async def test_a_linked_picture_of_a_workflow_is_seen_and_scaled(wrap: Any) -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": LINK}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": 120, "height": 80}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
    }
    content = wrap(graph)
    path = ("1", "inputs", "image") if content is graph else ("prompt", "1", "inputs", "image")
    generation = await generated(content, TaskType.PIPELINE, inputs=(a_linked_picture(*path),))
    assert decoded(generation.files[0].data).size == (120, 80)
    assert the_middle_of(generation.files[0].data) == RED


async def test_a_workflow_without_a_size_takes_that_of_its_picture() -> None:
    workflow = {"1": {"class_type": "LoadImage", "inputs": {"image": LINK}}}
    generation = await generated(workflow, TaskType.PIPELINE, inputs=(a_linked_picture("1", "inputs", "image"),))
    assert decoded(generation.files[0].data).size == (16, 16)


async def test_a_workflows_wrong_size_is_named_by_its_node() -> None:
    workflow = {**A_WORKFLOW, "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 9999, "height": 64}}}
    assert "content.5.inputs.width is 9999" in await refusal_of(workflow, TaskType.PIPELINE)


async def test_plain_parameters_are_a_pipeline_too() -> None:
    generation = await generated({"prompt": "a dog", "width": 64, "height": 64}, TaskType.PIPELINE)
    assert generation.output == {"outputs": {"test_pattern": {"images": [FileReference(0)]}}}


async def test_it_takes_as_long_as_it_is_told_and_reports_progress() -> None:
    shares: list[float] = []
    start = time.monotonic()
    await TestPatternRuntime().generate(a_job({"test_pattern_seconds": 0.05, "width": 8, "height": 8}), shares.append)
    assert time.monotonic() - start >= 0.05
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert shares[-1] == 1.0


async def test_a_pretended_run_is_cancelled_at_once() -> None:
    started = asyncio.Event()
    run = asyncio.create_task(
        TestPatternRuntime().generate(a_job({"test_pattern_seconds": 43_200}), lambda share: started.set())
    )
    await started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await run
