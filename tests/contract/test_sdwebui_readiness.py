from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime, sdwebui_client
from webui_double import MODEL, OTHER_MODEL, WebUi, a_webui_job, recorded

FLAVOURS = ("a1111", "forge")


@pytest.fixture(params=FLAVOURS)
def webui(request: pytest.FixtureRequest) -> WebUi:
    return WebUi(request.param)


async def test_a_server_is_ready_once_it_has_made_a_tiny_picture(webui: WebUi) -> None:
    runtime = webui.runtime()

    assert await runtime.is_ready()
    assert await runtime.is_ready()

    (proof,) = webui.generations
    assert (proof["steps"], proof["width"], proof["height"]) == (1, 64, 64)


async def test_the_static_model_is_loaded_by_the_proof(webui: WebUi) -> None:
    assert await webui.runtime(model=OTHER_MODEL).is_ready()

    assert webui.generations[0]["override_settings"]["sd_model_checkpoint"] == OTHER_MODEL


async def test_a_server_without_the_static_model_is_not_ready_and_says_why(webui: WebUi) -> None:
    runtime = webui.runtime(model="rand-c.safetensors")
    assert not await runtime.is_ready()
    assert runtime.proof_failure is not None
    assert (runtime.proof_failure.code, runtime.proofs_failed) == ("model_not_found", 1)


async def test_a_server_that_answers_but_has_no_model_is_not_ready(webui: WebUi) -> None:
    webui.answer = recorded("a1111", "err-cuda-oom-simulated")
    runtime = webui.runtime()

    assert not await runtime.is_ready()
    assert not await runtime.is_ready()
    assert len(webui.generations) == 1


async def test_a_starting_server_is_not_ready() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(404, json={"detail": "Not Found"}))

    assert not await SdWebUiRuntime(
        httpx.AsyncClient(base_url="http://x", transport=transport, trust_env=False)
    ).is_ready()


async def test_no_server_is_not_ready() -> None:
    # Port 9 (discard) is closed everywhere.
    runtime = SdWebUiRuntime(sdwebui_client("http://127.0.0.1:9"))

    assert not await runtime.is_ready()
    with pytest.raises(RuntimeFailure, match=r"No runtime answers at http://127\.0\.0\.1:9\. It is not running"):
        await runtime.generate(a_webui_job(), lambda share: None)
    await runtime.close()


async def test_a_proof_that_takes_long_is_not_made_twice(webui: WebUi) -> None:
    webui.busy = asyncio.Event()
    runtime = webui.runtime(probe_within=timedelta(milliseconds=20))
    assert not await runtime.is_ready()
    assert not await runtime.is_ready()

    webui.busy.set()

    async with asyncio.timeout(5):
        while not await runtime.is_ready():
            pass
    assert len(webui.generations) == 1


async def test_a_proof_under_way_is_dropped_on_closing(webui: WebUi) -> None:
    webui.busy = asyncio.Event()
    runtime = webui.runtime(probe_within=timedelta(milliseconds=20))
    await runtime.is_ready()

    await runtime.close()

    assert webui.state["job"] == ""


async def test_a_job_that_went_well_is_proof_enough(webui: WebUi) -> None:
    runtime = webui.runtime()
    await runtime.generate(a_webui_job(), lambda share: None)

    assert await runtime.is_ready()
    assert len(webui.generations) == 1


async def test_a_failure_asks_for_a_new_proof(webui: WebUi) -> None:
    runtime = webui.runtime()
    await runtime.is_ready()
    webui.answer = recorded("a1111", "err-cuda-illegal-simulated")
    with pytest.raises(RuntimeFailure):
        await runtime.generate(a_webui_job(), lambda share: None)
    webui.answer = None
    webui.requests.clear()

    assert await runtime.is_ready()
    assert len(webui.generations) == 1


async def test_a_bad_request_casts_no_doubt_on_the_server(webui: WebUi) -> None:
    runtime = webui.runtime()
    await runtime.is_ready()
    with pytest.raises(RuntimeFailure):
        await runtime.generate(a_webui_job(sampler_name="Bogus"), lambda share: None)

    assert await runtime.is_ready()


async def test_the_loaded_model_is_told_by_its_file(webui: WebUi) -> None:
    assert await webui.runtime().loaded_model() == MODEL


async def test_a_server_without_models_has_none_loaded(webui: WebUi) -> None:
    webui.checkpoints = []

    assert await webui.runtime().loaded_model() is None


async def test_a_broken_server_does_not_tell_its_model() -> None:
    transport = httpx.MockTransport(lambda request: recorded("a1111", "after-err-options"))

    with pytest.raises(RuntimeFailure, match="ValidationError"):
        await SdWebUiRuntime(
            httpx.AsyncClient(base_url="http://x", transport=transport, trust_env=False)
        ).loaded_model()
