"""The first picture of each kind of runtime, through its own adapter."""

from __future__ import annotations

import pytest

from fake_comfyui import a_comfyui, with_outputs
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import RuntimeType
from sdfleet_scheduler.canary import canary_of
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.test_pattern import TestPatternRuntime
from webui_double import MODEL, WebUi


async def test_the_test_pattern_draws_one() -> None:
    canary = canary_of(RuntimeType.TEST_PATTERN, TestPatternRuntime(), None)
    assert canary is not None
    await canary()


async def test_a_webui_makes_one_step_of_a_small_picture_with_the_static_model() -> None:
    webui = WebUi("a1111")
    canary = canary_of(RuntimeType.SDWEBUI, webui.runtime(model=MODEL), MODEL)
    assert canary is not None
    await canary()
    (made,) = webui.generations
    assert (made["steps"], made["width"], made["height"]) == (1, 64, 64)
    assert made["override_settings"]["sd_model_checkpoint"] == MODEL


async def test_a_webui_without_the_model_fails_for_good() -> None:
    webui = WebUi("a1111")
    canary = canary_of(RuntimeType.SDWEBUI, webui.runtime(), "none.safetensors")
    assert canary is not None
    with pytest.raises(RuntimeFailure) as caught:
        await canary()
    assert (caught.value.kind, caught.value.code) == (FailureKind.PERMANENT, "model_not_found")


async def test_comfyui_executes_a_workflow_that_needs_no_model() -> None:
    async with a_comfyui() as (comfyui, runtime):
        canary = canary_of(RuntimeType.COMFYUI, runtime, None)
        assert canary is not None
        await canary()
        (submitted,) = comfyui.submitted
    assert {node["class_type"] for node in submitted.graph.values()} == {"EmptyImage", "PreviewImage"}


async def test_comfyui_loads_its_static_model_for_it() -> None:
    async with a_comfyui() as (comfyui, runtime):
        canary = canary_of(RuntimeType.COMFYUI, runtime, "v1-5.safetensors")
        assert canary is not None
        await canary()
        (submitted,) = comfyui.submitted
    loaders = [node for node in submitted.graph.values() if node["class_type"] == "CheckpointLoaderSimple"]
    assert [node["inputs"]["ckpt_name"] for node in loaders] == ["v1-5.safetensors"]


async def test_an_answer_without_a_picture_proves_nothing() -> None:
    async with a_comfyui() as (comfyui, runtime):
        comfyui.plays.append(with_outputs({}))
        canary = canary_of(RuntimeType.COMFYUI, runtime, None)
        assert canary is not None
        with pytest.raises(RuntimeFailure):
            await canary()


def test_what_a_custom_server_makes_only_its_owner_knows() -> None:
    assert canary_of(RuntimeType.CUSTOM, TestPatternRuntime(), None) is None
