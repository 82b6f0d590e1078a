from __future__ import annotations

from typing import Any

import pytest

from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import TaskType
from sdfleet_scheduler.runtimes.base import Job, RuntimeFailure
from webui_double import MODEL, OTHER_MODEL, WebUi, a_webui_job

FLAVOURS = ("a1111", "forge")


@pytest.fixture(params=FLAVOURS)
def webui(request: pytest.FixtureRequest) -> WebUi:
    return WebUi(request.param)


async def sent(webui: WebUi, job: Job) -> dict[str, Any]:
    await webui.runtime().generate(job, lambda share: None)
    body: dict[str, Any] = webui.generations[0]
    return body


async def refused(webui: WebUi, job: Job) -> str:
    """What a permanent refusal says; nothing was sent."""
    with pytest.raises(RuntimeFailure) as caught:
        await webui.runtime().generate(job, lambda share: None)
    assert caught.value.kind is FailureKind.PERMANENT
    assert not webui.generations
    return f"{caught.value.code}: {caught.value}"


async def test_an_unknown_sampler_would_silently_be_another(webui: WebUi) -> None:
    said = await refused(webui, a_webui_job(sampler_name="Eular"))

    assert said.startswith(
        "validation_failed: content.sampler_name: the WebUI has no sampler 'Eular'. Near it are 'Euler'"
    )


async def test_an_unknown_scheduler_would_silently_be_the_automatic_one(webui: WebUi) -> None:
    said = await refused(webui, a_webui_job(scheduler="Bogus"))

    assert "content.scheduler: the WebUI has no scheduler 'Bogus'. It has 'Automatic', 'Karras', 'SGM Uniform'" in said


async def test_an_unknown_model_would_silently_be_the_current_one(webui: WebUi) -> None:
    said = await refused(webui, a_webui_job(override_settings={"sd_model_checkpoint": "rand-c.safetensors"}))

    assert said.startswith(
        "model_not_found: content.override_settings.sd_model_checkpoint: the WebUI has no checkpoint"
    )
    assert MODEL in said


async def test_a_part_of_a_models_title_is_not_its_name(webui: WebUi) -> None:
    said = await refused(webui, a_webui_job(model="and-a"))

    assert said.startswith("model_not_found")


async def test_an_unknown_vae_would_silently_be_ignored(webui: WebUi) -> None:
    said = await refused(webui, a_webui_job(override_settings={"sd_vae": "nope.vae.pt"}))

    assert "content.override_settings.sd_vae: the WebUI has no VAE" in said


@pytest.mark.parametrize(
    ("field", "tasktype"),
    [("upscaler_1", TaskType.EXTRA_SINGLE_IMAGE), ("upscaler_2", TaskType.EXTRA_BATCH_IMAGES)],
)
async def test_an_unknown_upscaler_names_the_file_that_is_missing(webui: WebUi, field: str, tasktype: TaskType) -> None:
    said = await refused(webui, a_webui_job(tasktype, **{field: "4x-UltraSharp"}))

    assert f"content.{field}: the WebUI has no upscaler '4x-UltraSharp'." in said
    assert "put 4x-UltraSharp.pth into models/ESRGAN" in said


@pytest.mark.parametrize(
    ("wanted", "sampler", "scheduler"),
    [
        ("euler A", "Euler a", None),
        ("k_euler_a", "Euler a", None),
        ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("dpm++ 2m sgmuniform", "DPM++ 2M", "SGM Uniform"),
    ],
)
async def test_samplers_are_taken_in_every_spelling_and_sent_in_the_servers(
    webui: WebUi, wanted: str, sampler: str, scheduler: str | None
) -> None:
    body = await sent(webui, a_webui_job(sampler_name=wanted))

    assert (body["sampler_name"], body.get("scheduler")) == (sampler, scheduler)


async def test_the_old_field_for_the_sampler_is_checked_where_it_counts(webui: WebUi) -> None:
    assert (await sent(webui, a_webui_job(sampler_index="EULER")))["sampler_index"] == "Euler"


async def test_schedulers_are_sent_in_the_servers_spelling(webui: WebUi) -> None:
    assert (await sent(webui, a_webui_job(scheduler="sgm_uniform")))["scheduler"] == "SGM Uniform"


async def test_the_documents_upscaler_names_differ_in_case(webui: WebUi) -> None:
    await webui.runtime().generate(a_webui_job(TaskType.EXTRA_SINGLE_IMAGE, upscaler_1="ESRGAN_4X"), lambda share: None)

    assert webui.sent("/sdapi/v1/extra-single-image")[0]["upscaler_1"] == "ESRGAN_4x"


async def test_the_high_resolution_pass_has_names_of_its_own(webui: WebUi) -> None:
    hires: dict[str, Any] = {
        "enable_hr": True,
        "hr_upscaler": "latent (Nearest-exact)",
        "hr_sampler_name": "Use same sampler",
    }

    assert (await sent(webui, a_webui_job(**hires)))["hr_upscaler"] == "Latent (nearest-exact)"


async def test_fields_of_a_pass_that_is_off_do_not_matter(webui: WebUi) -> None:
    assert (await sent(webui, a_webui_job(enable_hr=False, hr_upscaler="Bogus")))["hr_upscaler"] == "Bogus"


@pytest.mark.parametrize(
    "name", ["rand-a.safetensors", "rand-a", "RAND-A.safetensors", "rand-a.safetensors [d6012cb3af]"]
)
async def test_models_are_taken_by_file_name_or_title(webui: WebUi, name: str) -> None:
    assert (await sent(webui, a_webui_job(model=name)))["override_settings"]["sd_model_checkpoint"] == MODEL


async def test_models_are_taken_by_hash_once_the_server_knows_it() -> None:
    assert (await sent(WebUi("a1111"), a_webui_job(model="d6012cb3af")))["override_settings"] == {
        "sd_model_checkpoint": MODEL
    }


async def test_a_title_with_another_hash_is_another_model() -> None:
    assert (await refused(WebUi("a1111"), a_webui_job(model=f"{MODEL} [0123456789]"))).startswith("model_not_found")


async def test_a_name_that_fits_two_files_is_refused(webui: WebUi) -> None:
    webui.checkpoints = [*webui.checkpoints, {"title": "sub/rand-a.ckpt", "model_name": "sub_rand-a", "hash": None}]

    assert "'rand-a' may be rand-a.safetensors or sub/rand-a.ckpt; give the path." in await refused(
        webui, a_webui_job(model="rand-a")
    )


async def test_a_model_that_came_later_is_found_after_one_refresh(webui: WebUi) -> None:
    webui.unseen_checkpoints = [{"title": "late.safetensors", "model_name": "late", "hash": None}]

    assert (await sent(webui, a_webui_job(model="late.safetensors")))["override_settings"]["sd_model_checkpoint"] == (
        "late.safetensors"
    )
    assert len(webui.sent("/sdapi/v1/refresh-checkpoints")) == 1


async def test_lists_are_fetched_once(webui: WebUi) -> None:
    runtime = webui.runtime()

    for _ in range(3):
        await runtime.generate(a_webui_job(sampler_name="Euler"), lambda share: None)

    assert len(webui.sent("/sdapi/v1/samplers")) == 1
    # Once more where the checkpoint's hash was not known before its first job.
    assert len(webui.sent("/sdapi/v1/sd-models")) == (2 if webui.flavour == "forge" else 1)


async def test_automatic1111_takes_a_vae_as_a_setting() -> None:
    body = await sent(WebUi("a1111"), a_webui_job(override_settings={"sd_vae": "FT-MSE.vae.safetensors"}))

    assert body["override_settings"]["sd_vae"] == "ft-mse.vae.safetensors"


async def test_forge_takes_a_vae_as_a_module() -> None:
    body = await sent(WebUi("forge"), a_webui_job(override_settings={"sd_vae": "FT-MSE.vae.safetensors"}))

    assert body["override_settings"]["forge_additional_modules"] == ["ft-mse.vae.safetensors"]
    assert "sd_vae" not in body["override_settings"]


async def test_the_automatic_vae_is_the_servers_own_choice(webui: WebUi) -> None:
    await sent(webui, a_webui_job(override_settings={"sd_vae": "Automatic"}))

    assert webui.generations[0]["override_settings"].get("sd_vae", "Automatic") == "Automatic"


async def test_routing_fields_never_reach_the_scripts(webui: WebUi) -> None:
    scripts = {
        "task": "text-to-image",
        "id_task": "test-t2i",
        "save_dir": "outputs",
        "uid": "u",
        "image_link": "https://example.com/cat.png",
        "sd_model_checkpoint": OTHER_MODEL,
        "override_settings": {"CLIP_stop_at_last_layers": 2},
        "Refiner": {"args": []},
    }

    body = await sent(webui, a_webui_job(alwayson_scripts=scripts))

    assert body["alwayson_scripts"] == {"Refiner": {"args": []}}
    assert body["override_settings"] == {"CLIP_stop_at_last_layers": 2, "sd_model_checkpoint": OTHER_MODEL}


async def test_an_empty_list_of_scripts_is_none(webui: WebUi) -> None:
    assert "alwayson_scripts" not in await sent(webui, a_webui_job(alwayson_scripts=[]))


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("width", 13, "at least 8 and a multiple of 8"),
        ("width", -64, "at least 8 and a multiple of 8"),
        ("width", None, "at least 8 and a multiple of 8"),
        ("height", 100.5, "at least 8 and a multiple of 8"),
        ("steps", 0, "at least 1"),
        ("steps", "abc", "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("n_iter", 0, "at least 1"),
        ("n_iter", True, "at least 1"),
    ],
)
async def test_numbers_that_the_server_changes_or_dies_of_are_refused_before(
    webui: WebUi, field: str, value: Any, wanted: str
) -> None:
    said = await refused(webui, a_webui_job(**{field: value}))

    assert said == f"validation_failed: content.{field}: must be a whole number of {wanted}"


@pytest.mark.parametrize(
    ("resize", "field"),
    [
        ({"upscaling_resize": 0}, "upscaling_resize"),
        ({"upscaling_resize": None}, "upscaling_resize"),
        ({"resize_mode": 1, "upscaling_resize_w": 0}, "upscaling_resize_w"),
    ],
)
async def test_upscaling_to_nothing_is_refused(webui: WebUi, resize: dict[str, Any], field: str) -> None:
    said = await refused(webui, a_webui_job(TaskType.EXTRA_SINGLE_IMAGE, **resize))

    assert said.startswith(f"validation_failed: content.{field}: must be")


async def test_sizes_do_not_matter_when_scaling_by_a_factor(webui: WebUi) -> None:
    job = a_webui_job(TaskType.EXTRA_SINGLE_IMAGE, upscaling_resize="4", upscaling_resize_w=0)

    assert (await webui.runtime().generate(job, lambda share: None)).files


async def test_numbers_in_strings_are_numbers(webui: WebUi) -> None:
    assert (await sent(webui, a_webui_job(width="128", steps=4.0))) | {"width": 128, "steps": 4} == webui.generations[0]


async def test_every_bad_field_is_named_at_once(webui: WebUi) -> None:
    said = await refused(webui, a_webui_job(width=13, steps=0, sampler_name="Bogus", model="nope"))

    assert [part.split(":")[0] for part in said.removeprefix("validation_failed: ").split("; ")] == [
        "content.width",
        "content.steps",
        "content.sampler_name",
        "content.override_settings.sd_model_checkpoint",
    ]


@pytest.mark.parametrize(
    ("tasktype", "field"),
    [
        (TaskType.IMAGE_TO_IMAGE, "init_images"),
        (TaskType.EXTRA_SINGLE_IMAGE, "image"),
        (TaskType.EXTRA_BATCH_IMAGES, "imageList"),
    ],
)
async def test_a_missing_picture_is_named(webui: WebUi, tasktype: TaskType, field: str) -> None:
    said = await refused(webui, a_webui_job(tasktype, **{field: []}))

    assert said.startswith(f"validation_failed: content.{field}: must be")


async def test_a_pipeline_is_not_for_a_webui(webui: WebUi) -> None:
    assert "does not serve pipeline" in await refused(webui, a_webui_job(TaskType.PIPELINE))
