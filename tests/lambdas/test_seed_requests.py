"""Every request example of the guidance's documents, as printed, comments removed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_deployment, a_runtime_environment
from sdfleet.domain.task import RuntimeType
from sdfleet.environment import RuntimeEnvironment
from sdfleet_lambdas import submission
from service_harness import MODEL, MODEL_BUCKET, Harness, sqs_event

SEEDS = Path(__file__).parent / "seed_requests"
V1ALPHA2 = sorted(path.stem for path in SEEDS.glob("v1alpha2-*.json"))
V1ALPHA1 = sorted(path.stem for path in SEEDS.glob("v1alpha1-*.json"))
WEBUI = a_runtime_environment(model_filename=MODEL)


def seed(name: str) -> Any:
    return json.loads((SEEDS / f"{name}.json").read_text())


def a_harness_of(runtime: RuntimeEnvironment) -> Harness:
    return Harness(deployment=a_deployment(runtimes=(runtime,), model_bucket=MODEL_BUCKET))


@pytest.mark.parametrize("name", V1ALPHA2)
def test_v1alpha2_is_accepted_as_printed_and_answered_as_printed(name: str) -> None:
    harness = a_harness_of(replace(WEBUI, type=RuntimeType.TEST_PATTERN))
    task_id = seed(name)["task"]["metadata"]["id"]

    answer = harness.post(seed(name))

    assert answer.status == 200
    assert answer.body == {
        "id_task": task_id,
        "id": task_id,
        "runtime": "sdruntime",
        "output_location": f"s3://sdfleet-test-output/output/{task_id}",
    }


@pytest.mark.parametrize("name", V1ALPHA1)
def test_v1alpha1_is_accepted_as_printed_and_answered_as_printed(name: str) -> None:
    harness = a_harness_of(WEBUI)
    scripts = seed(name)["alwayson_scripts"]
    task_id, prefix = scripts["id_task"], scripts.get("save_dir", "output")

    answer = harness.post(seed(name), "/v1alpha1")

    assert answer.status == 200
    assert answer.body == {
        "id_task": task_id,
        "sd_model_checkpoint": MODEL,
        "output_location": f"s3://sdfleet-test-output/{prefix}/{task_id}",
    }


@pytest.mark.parametrize("name", [name for name in V1ALPHA2 if "pipeline" not in name])
def test_a_webui_runtime_takes_all_but_the_pipeline(name: str) -> None:
    assert a_harness_of(WEBUI).post(seed(name)).status == 200


def test_a_comfyui_runtime_takes_the_pipeline() -> None:
    comfyui = a_runtime_environment(type=RuntimeType.COMFYUI)
    assert a_harness_of(comfyui).post(seed("v1alpha2-pipeline")).status == 200


def test_model_switching_on_a_dynamic_runtime_names_a_model_of_the_bucket() -> None:
    harness = a_harness_of(replace(WEBUI, model_filename="other.safetensors", dynamic_model=True))
    harness.artifacts.put(f"s3://{MODEL_BUCKET}/Stable-diffusion/{MODEL}", b"weights", content_type="x/y")

    assert harness.post(seed("v1alpha2-model-switching")).status == 200


def test_a_direct_message_becomes_a_task() -> None:
    harness = a_harness_of(WEBUI)

    submission.handle(sqs_event(json.dumps(seed("direct-message")), runtime="sdruntime"), harness.services)

    assert harness.task().runtime == "sdruntime"
    assert len(harness.requests.published) == 1
