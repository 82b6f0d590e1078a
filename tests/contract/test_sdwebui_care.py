"""What a WebUI tells of itself, what is done about a full memory, and what a change of checkpoint takes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from sdfleet_scheduler.runtimes.base import ModelLoad, RuntimeFailure, ServedRuntime
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime
from webui_double import MODEL, OTHER_MODEL, WebUi, a_webui_job, recorded

UNLOAD, RELOAD = "/sdapi/v1/unload-checkpoint", "/sdapi/v1/reload-checkpoint"


@pytest.fixture(params=["a1111", "forge"])
def webui(request: pytest.FixtureRequest) -> WebUi:
    return WebUi(request.param)


async def make(runtime: SdWebUiRuntime, model: str = MODEL) -> None:
    await runtime.generate(a_webui_job(model=model), lambda share: None)


async def failure_of(runtime: SdWebUiRuntime) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as raised:
        await make(runtime)
    return raised.value


async def test_after_an_out_of_memory_the_checkpoint_leaves_the_gpu_and_comes_back_before_the_next_job() -> None:
    webui = WebUi()
    webui.answer = recorded("a1111", "err-cuda-oom-simulated")
    runtime = webui.runtime()
    seen: list[list[str]] = []
    job = replace(a_webui_job(), on_free=lambda: seen.append([path for path, _ in webui.requests[-2:]]))
    with pytest.raises(RuntimeFailure) as raised:
        await runtime.generate(job, lambda share: None)
    assert raised.value.code == "out_of_memory"
    assert seen == [[UNLOAD, RELOAD]]


async def test_a_checkpoint_that_does_not_leave_is_not_brought_back() -> None:
    webui = WebUi()

    async def without_route(request: httpx.Request) -> httpx.Response:
        if request.url.path == UNLOAD:
            return httpx.Response(404)
        return await webui._handle(request)

    runtime = SdWebUiRuntime(httpx.AsyncClient(base_url="http://x", transport=httpx.MockTransport(without_route)))
    webui.answer = recorded("a1111", "err-cuda-oom-simulated")
    assert (await failure_of(runtime)).code == "out_of_memory"
    assert webui.sent(RELOAD) == []


async def test_other_failures_leave_the_checkpoint_where_it_is() -> None:
    webui = WebUi()
    webui.answer = recorded("a1111", "err-zero-steps")
    await failure_of(webui.runtime())
    assert webui.sent(UNLOAD) == []


async def test_a_lost_gpu_needs_another_process_until_a_proof_goes_well() -> None:
    webui = WebUi()
    webui.answer = recorded("a1111", "err-cuda-illegal-simulated")
    runtime = webui.runtime()
    assert (await failure_of(runtime)).needs_restart
    assert runtime.needs_restart
    webui.answer = None
    assert await runtime.is_ready()
    assert not runtime.needs_restart


async def test_a_hang_is_interrupted_and_needs_a_restart_only_if_that_does_not_help() -> None:
    for is_deaf in (False, True):
        webui = WebUi()
        webui.busy = asyncio.Event()
        webui.is_deaf = is_deaf
        brief = timedelta(milliseconds=30)
        runtime = webui.runtime(hang_after=brief, stop_within=brief * 4)
        assert "has not moved on" in str(await failure_of(runtime))
        assert webui.sent("/sdapi/v1/interrupt")
        assert runtime.needs_restart == is_deaf
        webui.busy.set()


async def test_memory_is_what_the_process_takes(webui: WebUi) -> None:
    runtime = webui.runtime()
    assert isinstance(runtime, ServedRuntime)
    assert await runtime.memory_used() == {"a1111": 5035745280, "forge": 711434240}[webui.flavour]


async def test_no_server_tells_no_memory() -> None:
    runtime = SdWebUiRuntime(
        httpx.AsyncClient(base_url="http://x", transport=httpx.MockTransport(lambda _: httpx.Response(404)))
    )
    assert await runtime.memory_used() is None


async def test_a_job_with_another_checkpoint_than_the_last_is_a_switch(webui: WebUi) -> None:
    loads: list[ModelLoad] = []
    runtime = webui.runtime(on_loaded=loads.append)
    for model in (MODEL, MODEL, OTHER_MODEL, MODEL):
        await make(runtime, model)
    assert [(load.model, load.was_in_memory) for load in loads] == [(OTHER_MODEL, False), (MODEL, False)]
    assert all(load.seconds > 0 for load in loads)


async def test_what_the_server_keeps_is_switched_to_from_memory() -> None:
    loads: list[ModelLoad] = []
    webui = WebUi()
    webui.options["sd_checkpoints_limit"] = 2
    runtime = webui.runtime(on_loaded=loads.append)
    for model in (MODEL, OTHER_MODEL, MODEL):
        await make(runtime, model)
    assert [load.was_in_memory for load in loads] == [False, True]


async def test_a_switch_ends_with_the_first_step() -> None:
    loads: list[ModelLoad] = []
    webui = WebUi()
    runtime = webui.runtime(on_loaded=loads.append)
    await make(runtime)
    webui.busy = asyncio.Event()
    webui.running.clear()
    job = asyncio.create_task(make(runtime, OTHER_MODEL))
    await webui.running.wait()
    webui.state = {**webui.state, "sampling_step": 1}
    await webui.looked_at()
    await asyncio.sleep(0.2)
    webui.busy.set()
    await job
    assert loads[0].seconds < 0.2


async def test_after_a_restart_nobody_knows_what_is_loaded() -> None:
    loads: list[ModelLoad] = []
    webui = WebUi()
    runtime = webui.runtime(on_loaded=loads.append)
    await make(runtime)
    webui.answer = httpx.ConnectError("refused")
    await failure_of(runtime)
    webui.answer = None
    await make(runtime, OTHER_MODEL)
    assert loads == []


async def test_the_server_is_told_how_many_checkpoints_to_keep_before_its_first_task() -> None:
    webui = WebUi()
    assert await webui.runtime(keep_models=3).is_ready()
    assert webui.options == {"sd_checkpoints_limit": 3, "sd_checkpoints_keep_in_cpu": True}


async def test_forge_keeps_what_fits_and_is_told_nothing() -> None:
    webui = WebUi("forge")
    assert await webui.runtime(keep_models=3).is_ready()
    assert webui.options == {}
