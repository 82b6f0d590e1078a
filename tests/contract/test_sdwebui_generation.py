from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import TaskType
from sdfleet_scheduler.runtimes.base import FileReference, Generation, InputFile, Job, RuntimeFailure
from webui_double import MODEL, MODEL_HASH, OTHER_MODEL, PNG, PNG_BASE64, WebUi, a_webui_job, set_info

FLAVOURS = ("a1111", "forge")


@pytest.fixture(params=FLAVOURS)
def webui(request: pytest.FixtureRequest) -> WebUi:
    return WebUi(request.param)


async def generated(webui: WebUi, job: Job) -> Generation:
    return await webui.runtime().generate(job, lambda share: None)


async def refused(webui: WebUi, job: Job) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await generated(webui, job)
    return caught.value


async def test_a_text_to_image_job_gives_its_pictures_and_the_full_answer(webui: WebUi) -> None:
    generation = await generated(webui, a_webui_job(batch_size=2, n_iter=2))

    assert [file.data for file in generation.files] == [PNG] * 4
    assert generation.files[0].content_type == "image/png"
    assert generation.output["images"] == [FileReference(index) for index in range(4)]
    assert json.loads(generation.output["info"])["all_seeds"] == [42, 43, 44, 45]


async def test_every_job_names_its_model_and_itself(webui: WebUi) -> None:
    await generated(webui, a_webui_job(try_id="run-7-2", override_settings_restore_afterwards=False))

    (sent,) = webui.generations
    assert sent["override_settings"]["sd_model_checkpoint"] == MODEL
    assert sent["override_settings_restore_afterwards"] is True
    assert sent["force_task_id"] == "run-7-2"


async def test_the_requests_own_model_comes_before_the_runtimes(webui: WebUi) -> None:
    generation = await generated(webui, a_webui_job(override_settings={"sd_model_checkpoint": "rand-b"}))

    assert webui.generations[0]["override_settings"]["sd_model_checkpoint"] == OTHER_MODEL
    assert json.loads(generation.output["info"])["sd_model_name"] == "rand-b"


async def test_without_a_model_of_its_own_a_job_runs_on_what_is_loaded(webui: WebUi) -> None:
    await generated(webui, a_webui_job(model=None, override_settings={"sd_model_checkpoint": ""}))

    assert "sd_model_checkpoint" not in webui.generations[0]["override_settings"]


async def test_fetched_links_are_sent_as_base64(webui: WebUi) -> None:
    link = InputFile(("init_images", 0), "input-1.png", "image/png", PNG)
    job = a_webui_job(TaskType.IMAGE_TO_IMAGE, init_images=["https://example.com/cat.png"], inputs=(link,))

    await generated(webui, job)

    (sent,) = webui.sent("/sdapi/v1/img2img")
    assert sent["init_images"] == [PNG_BASE64]
    assert job.content["init_images"] == ["https://example.com/cat.png"]


async def test_an_upscaled_picture_is_the_only_file(webui: WebUi) -> None:
    generation = await generated(webui, a_webui_job(TaskType.EXTRA_SINGLE_IMAGE))

    assert len(generation.files) == 1
    assert generation.output["image"] == FileReference(0)
    assert generation.output["html_info"].endswith("Lanczos</p>")


async def test_upscaling_leaves_the_model_alone(webui: WebUi) -> None:
    await generated(webui, a_webui_job(TaskType.EXTRA_SINGLE_IMAGE, alwayson_scripts={}))

    (sent,) = webui.sent("/sdapi/v1/extra-single-image")
    assert sent.keys() == {"image", "upscaler_1", "upscaling_resize"}


async def test_a_batch_of_upscaled_pictures_keeps_its_names(webui: WebUi) -> None:
    generation = await generated(webui, a_webui_job(TaskType.EXTRA_BATCH_IMAGES))

    assert [file.name for file in generation.files] == ["a.png", "b.png"]


async def test_a_batch_without_names_gets_some_because_the_server_wants_them(webui: WebUi) -> None:
    await generated(webui, a_webui_job(TaskType.EXTRA_BATCH_IMAGES, imageList=[{"data": PNG_BASE64}]))

    assert webui.sent("/sdapi/v1/extra-batch-images")[0]["imageList"] == [{"name": "1.png", "data": PNG_BASE64}]


async def test_the_grid_before_the_pictures_is_no_result(webui: WebUi) -> None:
    def with_grid(answer: dict[str, Any]) -> None:
        answer["images"].insert(0, "R0lGODlhAQABAAAAACw=")
        set_info(answer, index_of_first_image=1)

    webui.edit = with_grid

    generation = await generated(webui, a_webui_job(batch_size=2, save_images=True))

    assert [file.data for file in generation.files] == [PNG, PNG]
    assert generation.output["images"] == [FileReference(0), FileReference(1)]


async def test_another_model_than_asked_for_is_a_failure(webui: WebUi) -> None:
    webui.edit = lambda answer: set_info(answer, sd_model_name="rand-b", sd_model_hash="7c65752c2f")

    failure = await refused(webui, a_webui_job())

    assert (failure.code, failure.kind) == ("wrong_model", FailureKind.TRANSIENT)
    assert "rand-b [7c65752c2f] instead of rand-a.safetensors" in str(failure)


async def test_the_hash_in_a_models_title_is_checked_on_the_answer() -> None:
    webui = WebUi("a1111")
    webui.edit = lambda answer: set_info(answer, sd_model_hash="ffffffffff")

    failure = await refused(webui, a_webui_job(model=f"{OTHER_MODEL} [7c65752c2f]"))

    assert failure.code == "wrong_model"


async def test_a_file_of_the_same_name_with_another_hash_is_another_model() -> None:
    webui = WebUi("a1111")
    webui.edit = lambda answer: set_info(answer, sd_model_hash="0000000000")

    assert (await refused(webui, a_webui_job())).code == "wrong_model"


async def test_an_answer_that_names_no_model_proves_none(webui: WebUi) -> None:
    webui.edit = lambda answer: set_info(answer, sd_model_name=None, sd_model_hash=None)

    assert (await refused(webui, a_webui_job())).code == "wrong_model"


@pytest.mark.parametrize("images", [[], [None], [PNG_BASE64, None], None])
async def test_success_without_a_picture_is_a_failure(webui: WebUi, images: Any) -> None:
    webui.edit = lambda answer: answer.update(images=images)

    failure = await refused(webui, a_webui_job())

    assert (failure.code, failure.kind) == ("no_picture", FailureKind.TRANSIENT)


async def test_a_picture_that_is_none_is_a_failure(webui: WebUi) -> None:
    webui.edit = lambda answer: answer.update(images=["bm90IGFuIGltYWdl"])

    assert (await refused(webui, a_webui_job())).code == "bad_answer"


async def test_fewer_pictures_than_asked_for_are_no_result(webui: WebUi) -> None:
    webui.edit = lambda answer: answer.update(images=[PNG_BASE64])

    failure = await refused(webui, a_webui_job(n_iter=2))

    assert (failure.code, failure.kind) == ("incomplete_result", FailureKind.TRANSIENT)


async def test_not_a_number_does_not_reach_the_output(webui: WebUi) -> None:
    webui.answer = httpx.Response(
        200,
        text=json.dumps(
            {
                "images": [PNG_BASE64],
                "parameters": {"eta": float("nan")},
                "info": json.dumps({"sd_model_name": "rand-a", "sd_model_hash": MODEL_HASH}),
            }
        ),
    )

    assert (await generated(webui, a_webui_job())).output["parameters"] == {"eta": None}


async def test_something_else_than_a_webui_is_a_failure(webui: WebUi) -> None:
    webui.answer = httpx.Response(200, text="<html>It works!</html>")

    assert (await refused(webui, a_webui_job())).code == "bad_answer"
