"""Embeddings of a workflow: the one kind of model that ComfyUI leaves out without a word."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fake_comfyui import WORKFLOW, a_comfyui, a_comfyui_job, failure_of
from sdfleet.domain.retry import FailureKind


def saying(text: str) -> dict[str, Any]:
    return {**WORKFLOW, "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text}}}


def known(*names: str) -> httpx.Response:
    """As `GET /embeddings` answers: paths below the folder, without their suffixes."""
    return httpx.Response(200, json=list(names))


async def test_an_unknown_embedding_would_silently_be_left_out() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.answer("GET", "/embeddings", known("EasyNegative"))
        failure = await failure_of(
            runtime, a_comfyui_job(content=saying("ugly, embedding:badhands, (embedding:EasyNegative:1.2)"))
        )
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "model_not_found")
    assert str(failure) == "content.6.inputs.text: neither ComfyUI nor the model bucket has an embedding 'badhands'."
    assert not fake.submitted


@pytest.mark.parametrize("name", ["EasyNegative", "EasyNegative.pt", "negative/v1.5", "negative/v1.5.safetensors"])
async def test_embeddings_are_known_with_and_without_their_suffix(name: str) -> None:
    async with a_comfyui() as (fake, runtime):
        fake.answer("GET", "/embeddings", known("EasyNegative", "negative/v1.5"))
        await runtime.generate(a_comfyui_job(content=saying(f"embedding:{name}")), lambda share: None)
        assert len(fake.submitted) == 1


async def test_a_server_that_does_not_tell_is_trusted() -> None:
    async with a_comfyui() as (fake, runtime):
        await runtime.generate(a_comfyui_job(content=saying("embedding:EasyNegative")), lambda share: None)
        assert len(fake.submitted) == 1


async def test_a_workflow_without_embeddings_asks_for_none() -> None:
    async with a_comfyui() as (fake, runtime):
        await runtime.generate(a_comfyui_job(content=saying("a lighthouse")), lambda share: None)
        assert not [seen for seen in fake.seen if seen.path == "/embeddings"]
