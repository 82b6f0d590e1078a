"""Cancelling a job stops that prompt at the server, and no other."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from fake_comfyui import (
    FakeComfyUi,
    Submitted,
    a_comfyui,
    a_comfyui_job,
    conclude,
    failure_of,
    recording,
    replay,
    until_stopped,
)
from sdfleet.domain.retry import FailureKind
from sdfleet_scheduler.runtimes.base import Generation


async def cancelled(job: asyncio.Task[Generation]) -> None:
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_running_prompt_is_interrupted_by_its_id_and_waited_for() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        job = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        prompt = await fake.until_running()
        await cancelled(job)
        assert fake.bodies("/interrupt") == [{"prompt_id": prompt.prompt_id}]
        assert fake.running is None
        assert fake.history == {}


async def test_a_waiting_prompt_is_withdrawn_and_the_running_one_goes_on() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(replay(pause_s=0.01))
        first = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        await fake.until_running()
        second = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        while not fake.pending:
            await asyncio.sleep(0.001)
        waiting = fake.pending[0].prompt_id
        await cancelled(second)
        assert len((await first).files) == 1
        assert fake.bodies("/queue") == [{"delete": [waiting]}]
        assert fake.bodies("/interrupt") == [{"prompt_id": waiting}]


async def test_an_interrupt_that_the_server_dropped_is_sent_again() -> None:
    async def deaf_at_first(fake: FakeComfyUi, prompt: Submitted) -> None:
        await prompt.was_stopped.wait()
        prompt.was_stopped.clear()
        await prompt.was_stopped.wait()
        conclude(fake, prompt, "history_interrupted")

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(deaf_at_first)
        job = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        await fake.until_running()
        await cancelled(job)
        assert len(fake.bodies("/interrupt")) == 2


async def test_a_prompt_that_will_not_stop_holds_the_cancellation_for_a_bounded_time() -> None:
    async def deaf(fake: FakeComfyUi, prompt: Submitted) -> None:
        await asyncio.Event().wait()

    async with a_comfyui(stop_within=timedelta(milliseconds=100)) as (fake, runtime):
        fake.plays.append(deaf)
        job = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        await fake.until_running()
        began = time.monotonic()
        await cancelled(job)
        assert time.monotonic() - began < 1


async def test_a_second_cancellation_does_not_cut_the_stop_short() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        job = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        await fake.until_running()
        job.cancel()
        await asyncio.sleep(0)
        await cancelled(job)
        assert fake.running is None


async def test_cancelling_while_the_prompt_is_being_sent_withdraws_it_once_it_arrived() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        was_sent, may_arrive = asyncio.Event(), asyncio.Event()
        handle = fake._handle

        async def slow(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/prompt":
                was_sent.set()
                await may_arrive.wait()
            return await handle(request)

        runtime._server._client._transport = httpx.MockTransport(slow)
        job = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        await was_sent.wait()
        job.cancel()
        await asyncio.sleep(0.01)
        may_arrive.set()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert len(fake.submitted) == 1
        assert fake.running is None
        assert fake.pending == []


async def test_cancelling_at_a_dead_server_does_not_hang() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        job = asyncio.create_task(runtime.generate(a_comfyui_job(), lambda _: None))
        await fake.until_running()
        job.cancel()
        fake.kill()
        with pytest.raises(asyncio.CancelledError):
            await job


async def test_a_prompt_whose_submission_was_not_answered_is_withdrawn() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        handle = fake._handle

        async def deaf(request: httpx.Request) -> httpx.Response:
            response = await handle(request)
            if request.url.path == "/prompt":
                raise httpx.ReadTimeout("too slow", request=request)
            return response

        runtime._server._client._transport = httpx.MockTransport(deaf)
        failure = await failure_of(runtime, a_comfyui_job())
        assert failure.kind is FailureKind.RUNTIME_LOST
        assert fake.running is None
        assert fake.pending == []


async def test_a_prompt_of_which_only_some_outputs_are_valid_does_not_run_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body: dict[str, Any] = recording("post_val_one_of_two_outputs")["body"]

    async with a_comfyui() as (fake, runtime):
        fake.plays.append(until_stopped)
        queue = fake._queue

        def partly(prompt: dict[str, Any]) -> httpx.Response:
            queue(prompt)
            return httpx.Response(200, json=body)

        monkeypatch.setattr(fake, "_queue", partly)
        failure = await failure_of(runtime, a_comfyui_job())
        assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "validation_failed")
        assert "node 9 (SaveImage): Required input is missing: images" in str(failure)
        assert fake.running is None
        assert fake.pending == []
