"""What ComfyUI's refusals and a node's exceptions become."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fake_comfyui import WORKFLOW, a_comfyui, a_comfyui_job, failure_of, recording, replay
from sdfleet.domain.retry import FailureKind
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui_failures import invalid, of_exception

PROMPT = "a very secret lighthouse at dusk,\noil on canvas"


async def refusal_of(name: str) -> RuntimeFailure:
    """The failure for a recorded answer to a submission."""
    recorded = recording(name)
    body = recorded["body"]
    answer = {"text": body} if isinstance(body, str) else {"json": body}
    async with a_comfyui() as (fake, runtime):
        fake.answer("POST", "/prompt", httpx.Response(recorded["status"], **answer))
        return await failure_of(runtime, a_comfyui_job())


def an_exception(kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"node_id": "3", "node_type": "KSampler", "exception_type": kind, "exception_message": message, **more}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("post_val_missing_input", "node 3 (SaveImage): Required input is missing: images"),
        ("post_val_bad_type", "node 1 (EmptyImage): Failed to convert an input value to a INT value: width, abc"),
        ("post_val_loadimage_missing_file", "node 1 (LoadImage): Custom validation failed for node: image - Invalid"),
        ("post_val_unknown_node", "does not exist"),
        ("post_val_no_outputs", "Prompt has no outputs"),
    ],
)
async def test_a_refused_workflow_fails_for_good_and_names_node_and_input(name: str, said: str) -> None:
    failure = await refusal_of(name)
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "validation_failed")
    assert said in str(failure)


async def test_a_model_that_comfyui_does_not_have_is_told_from_other_mistakes() -> None:
    failure = await refusal_of("post_val_not_in_list_ckpt")
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "model_not_found")
    assert "node 1 (CheckpointLoaderSimple): Value not in list: ckpt_name: 'nope" in str(failure)


async def test_a_server_in_trouble_is_tried_again() -> None:
    failure = await refusal_of("post_bad_prompt_string")
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "submit_failed")


async def test_a_workflow_too_large_for_the_server_fails_for_good() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.answer("POST", "/prompt", httpx.Response(413, text="Maximum request body size 104857600 exceeded."))
        assert (await failure_of(runtime, a_comfyui_job())).kind is FailureKind.PERMANENT


async def test_a_refusal_without_json_is_told_by_its_status() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.answer("POST", "/prompt", httpx.Response(502, text="<html>"))
        assert "502" in str(await failure_of(runtime, a_comfyui_job()))


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ("history_err_corrupt_image", "node 1 (LoadImage) with PIL.UnidentifiedImageError"),
        ("history_err_corrupt_checkpoint", "SafetensorError"),
        ("history_err_one_of_two_outputs_runtime", "Intentional sync execution error"),
    ],
)
async def test_a_nodes_exception_fails_for_good_and_names_it(history: str, said: str) -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay(history=history))
        failure = await failure_of(runtime, a_comfyui_job())
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "execution_failed")
    assert said in str(failure)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory."),
        ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB"),
        ("RuntimeError", "CUDA error: out of memory"),
        ("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        ("MemoryError", ""),
        ("RuntimeError", "[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_a_lack_of_memory_is_tried_again(kind: str, message: str) -> None:
    failure = of_exception(an_exception(kind, message), {})
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "out_of_memory")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("RuntimeError", "CUDA error: an illegal memory access was encountered"),
        ("torch.AcceleratorError", "CUDA error: device-side assert triggered"),
        ("RuntimeError", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_after_a_device_fault_the_server_is_lost(kind: str, message: str) -> None:
    assert of_exception(an_exception(kind, message), {}).kind is FailureKind.RUNTIME_LOST


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("requests.exceptions.ConnectionError", "HTTPSConnectionPool(host='huggingface.co', port=443)"),
        ("ConnectionResetError", "[Errno 104] Connection reset by peer"),
        ("TimeoutError", "timed out"),
        ("OSError", "[Errno 28] No space left on device"),
        ("OSError", "[Errno 24] Too many open files"),
    ],
)
def test_faults_of_the_world_around_are_tried_again(kind: str, message: str) -> None:
    failure = of_exception(an_exception(kind, message), {})
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "execution_failed")


@pytest.mark.parametrize("kind", ["ValueError", "FileNotFoundError", "KeyError", "RuntimeError", "TypeError"])
def test_other_exceptions_are_the_workflows(kind: str) -> None:
    assert of_exception(an_exception(kind, "mat1 and mat2 shapes cannot be multiplied"), {}).kind is (
        FailureKind.PERMANENT
    )


def test_a_message_repeats_no_prompt() -> None:
    graph = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": PROMPT}}}
    for quoted in (PROMPT, repr(PROMPT)):
        assert "lighthouse" not in str(of_exception(an_exception("ValueError", f"bad text: {quoted}"), graph))
    refused = {
        "node_errors": {"6": {"class_type": "X", "errors": [{"message": "Bad", "details": f"text: {PROMPT!r}"}]}}
    }
    assert "lighthouse" not in str(invalid(refused, graph))


def test_a_message_keeps_a_files_name_and_not_its_folder() -> None:
    text = str(of_exception(an_exception("ValueError", "cannot read '/srv/comfyui/input/in.png' or C:\\x\\y.png"), {}))
    assert "'in.png'" in text
    assert "y.png" in text
    assert "srv" not in text


def test_a_message_keeps_links_and_fractions() -> None:
    text = str(of_exception(an_exception("ValueError", "see https://example.com/a/b and 3/4 and/or/not"), {}))
    assert "https://example.com/a/b and 3/4 and/or/not" in text


def test_a_message_is_short_and_one_line() -> None:
    text = str(of_exception(an_exception("ValueError", "line\n" * 5_000), {}))
    assert len(text) < 600
    assert "\n" not in text


def test_a_nodes_inputs_and_outputs_are_not_told() -> None:
    evidence = an_exception("ValueError", "bad", current_inputs={"x": ["tensor"]}, traceback=["File secret.py"])
    text = str(of_exception(evidence, {}))
    assert "tensor" not in text
    assert "secret" not in text


def test_a_workflow_with_many_faults_is_told_within_bounds() -> None:
    errors = {str(n): {"class_type": "X", "errors": [{"message": "Bad", "details": "y" * 50}]} for n in range(500)}
    assert len(str(invalid({"node_errors": errors}, WORKFLOW))) < 1_200
