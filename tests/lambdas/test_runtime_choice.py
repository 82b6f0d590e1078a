from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import a_deployment, a_runtime_environment
from sdfleet.environment import RuntimeEnvironment
from service_harness import COMFYUI, DYNAMIC, MODEL, MODEL_BUCKET, PATTERN, STATIC, Answer, Harness, a_request

UNCONFIGURED = a_runtime_environment(name="whatever")


def a_harness(*runtimes: RuntimeEnvironment, model_bucket: str | None = MODEL_BUCKET) -> Harness:
    return Harness(deployment=a_deployment(runtimes=runtimes, model_bucket=model_bucket))


def submit_v1alpha1(harness: Harness, model: str, tasktype: str = "text-to-image") -> Answer:
    scripts = {"task": tasktype, "sd_model_checkpoint": model, "id_task": "a"}
    return harness.post({"alwayson_scripts": scripts, "image": "https://example.org/a.png"}, "/v1alpha1")


def naming(model: str, runtime: str) -> dict[str, Any]:
    return a_request({"override_settings": {"sd_model_checkpoint": model}}, runtime=runtime)


def test_another_model_than_a_static_runtimes_own_is_a_400_that_names_its_own() -> None:
    answer = a_harness(STATIC).post(naming("other.safetensors", "sdruntime"))
    assert answer.bad_paths == ["task.content.override_settings.sd_model_checkpoint"]
    assert MODEL in answer.body["errors"][0]["message"]


def test_a_runtime_whose_model_nobody_configured_takes_any() -> None:
    assert a_harness(UNCONFIGURED).post(naming("other.safetensors", "whatever")).status == 200


def test_a_dynamic_runtime_without_a_model_bucket_loads_nothing() -> None:
    harness = a_harness(DYNAMIC, model_bucket=None)
    answer = harness.post(naming("other.safetensors", "sddynamic"))
    assert "no model bucket" in answer.body["errors"][0]["message"]
    assert harness.post(naming("sdxl.safetensors", "sddynamic")).status == 200


def test_v1alpha1_prefers_the_runtime_that_has_the_model_to_one_that_would_load_it() -> None:
    harness = a_harness(DYNAMIC, STATIC)
    submit_v1alpha1(harness, MODEL)
    assert harness.task("a").runtime == "sdruntime"


@pytest.mark.parametrize("model", ["v1-5-pruned-emaonly", f"{MODEL} [6ce0161689]"])
def test_v1alpha1_finds_the_model_by_its_other_names(model: str) -> None:
    harness = a_harness(STATIC)
    assert submit_v1alpha1(harness, model).body["sd_model_checkpoint"] == model


def test_v1alpha1_goes_to_a_server_whose_model_nobody_configured_in_the_end() -> None:
    harness = a_harness(STATIC, COMFYUI, UNCONFIGURED)
    submit_v1alpha1(harness, "other.safetensors")
    assert harness.task("a").runtime == "whatever"


def test_v1alpha1_prefers_a_runtime_that_serves_the_task_type() -> None:
    harness = a_harness(replace(COMFYUI, model_filename=MODEL), replace(PATTERN, model_filename="v1-5-pruned-emaonly"))
    submit_v1alpha1(harness, MODEL)
    assert harness.task("a").runtime == "pattern"


def test_v1alpha1_is_told_when_the_runtime_of_its_model_does_not_serve_the_task_type() -> None:
    answer = submit_v1alpha1(a_harness(STATIC), MODEL, "pipeline")
    assert answer.bad_paths == ["alwayson_scripts.task"]


def test_a_deployment_without_runtimes_says_so() -> None:
    harness = a_harness()
    assert "none" in harness.post(a_request()).body["errors"][0]["message"]
    task = {"api": "/sdapi/v1/txt2img", "payload": {}}
    assert "no runtime" in harness.post(task, "/task").body["errors"][0]["message"]
