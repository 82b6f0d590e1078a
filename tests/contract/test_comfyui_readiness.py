"""An HTTP answer is no proof that ComfyUI executes prompts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx

from fake_comfyui import (
    FakeComfyUi,
    Submitted,
    a_comfyui,
    a_comfyui_job,
    conclude,
    failure_of,
    the_end,
    until_stopped,
)

BRIEF = timedelta(milliseconds=100)


async def failing(fake: FakeComfyUi, prompt: Submitted) -> None:
    conclude(fake, prompt, "history_err_corrupt_image")
    await fake.say(prompt.body["client_id"], the_end(prompt.prompt_id))


async def test_the_first_proof_is_a_prompt_that_needs_no_model() -> None:
    async with a_comfyui() as (fake, runtime):
        assert await runtime.is_ready()
        graph = fake.submitted[0].graph
        assert [node["class_type"] for node in graph.values()] == ["EmptyImage", "PreviewImage"]


async def test_once_proven_asking_is_cheap() -> None:
    async with a_comfyui() as (fake, runtime):
        assert await runtime.is_ready()
        assert await runtime.is_ready()
        assert len(fake.submitted) == 1
        assert fake.seen[-1].path == "/prompt"


async def test_a_job_that_went_well_is_proof_enough() -> None:
    async with a_comfyui() as (fake, runtime):
        await runtime.generate(a_comfyui_job(), lambda _: None)
        assert await runtime.is_ready()
        assert len(fake.submitted) == 1


async def test_after_a_lost_prompt_it_is_proven_anew() -> None:
    async with a_comfyui(hang_after=BRIEF) as (fake, runtime):
        assert await runtime.is_ready()
        fake.plays.append(until_stopped)
        await failure_of(runtime, a_comfyui_job())
        assert await runtime.is_ready()
        assert len(fake.submitted) == 3


async def test_a_bad_request_casts_no_doubt_on_the_server() -> None:
    async with a_comfyui() as (fake, runtime):
        assert await runtime.is_ready()
        fake.plays.append(failing)
        await failure_of(runtime, a_comfyui_job())
        assert await runtime.is_ready()
        assert len(fake.submitted) == 2


async def test_a_server_whose_execution_thread_died_is_not_ready_and_keeps_no_probe() -> None:
    async with a_comfyui(probe_within=BRIEF) as (fake, runtime):
        fake.running = Submitted("dead-thread", {}, {})
        assert fake._worker is not None
        fake._worker.cancel()
        assert not await runtime.is_ready()
        assert fake.pending == []


async def test_a_server_that_does_not_listen_is_not_ready() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.kill()
        assert not await runtime.is_ready()


async def test_a_server_that_is_still_starting_is_not_ready() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.answer("POST", "/prompt", httpx.Response(404), httpx.Response(500, text="500 Internal Server Error"))
        assert not await runtime.is_ready()
        assert not await runtime.is_ready()
        assert await runtime.is_ready()


async def test_a_probe_that_fails_is_no_readiness() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(failing)
        assert not await runtime.is_ready()


async def test_while_a_job_runs_no_probe_stands_behind_it() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        job = asyncio.create_task(failure_of(runtime, a_comfyui_job()))
        prompt = await fake.until_running()
        assert await runtime.is_ready()
        assert len(fake.submitted) == 1
        prompt.was_stopped.set()
        await job


async def test_a_server_that_came_back_after_an_outage_is_proven_anew() -> None:
    async with a_comfyui() as (fake, runtime):
        assert await runtime.is_ready()
        fake.is_dead = True
        assert not await runtime.is_ready()
        fake.is_dead = False
        assert await runtime.is_ready()
        assert len(fake.submitted) == 2
