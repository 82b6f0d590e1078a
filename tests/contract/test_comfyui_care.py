"""What ComfyUI tells of itself, and what is done about a full memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from fake_comfyui import (
    FakeComfyUi,
    Play,
    Submitted,
    a_comfyui,
    a_comfyui_job,
    conclude,
    failure_of,
    recording,
    the_end,
    until_stopped,
)
from sdfleet_scheduler.runtimes.base import ServedRuntime

BRIEF = timedelta(milliseconds=100)
FREE = [{"unload_models": True, "free_memory": True}]


def failing_with(kind: str, message: str) -> Play:
    async def play(fake: FakeComfyUi, prompt: Submitted) -> None:
        error = {"node_id": "3", "node_type": "KSampler", "exception_type": kind, "exception_message": message}
        status = {"status_str": "error", "completed": False, "messages": [["execution_error", error]]}
        conclude(fake, prompt, "history_err_corrupt_image", status=status)
        await fake.say(prompt.body["client_id"], the_end(prompt.prompt_id))

    return play


async def deaf(fake: FakeComfyUi, prompt: Submitted) -> None:
    """Runs whatever it is told."""
    await asyncio.sleep(30)


async def test_after_an_out_of_memory_every_model_is_unloaded_before_the_retry() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(failing_with("torch.OutOfMemoryError", "Allocation on device 0"))
        failure = await failure_of(runtime, a_comfyui_job())
        assert failure.code == "out_of_memory"
        assert fake.bodies("/free") == FREE


async def test_a_full_memory_that_cannot_be_freed_is_still_a_full_memory() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(failing_with("torch.OutOfMemoryError", ""))
        fake.answer("POST", "/free", httpx.Response(500))
        assert (await failure_of(runtime, a_comfyui_job())).code == "out_of_memory"


async def test_other_failures_leave_the_models_where_they_are() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(failing_with("ValueError", "no"))
        await failure_of(runtime, a_comfyui_job())
        assert fake.bodies("/free") == []


async def test_a_lost_gpu_needs_another_process() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(failing_with("RuntimeError", "CUDA error: an illegal memory access was encountered"))
        assert (await failure_of(runtime, a_comfyui_job())).needs_restart
        assert runtime.needs_restart


async def test_a_hang_that_an_interrupt_ends_needs_no_restart() -> None:
    async with a_comfyui(hang_after=BRIEF) as (fake, runtime):
        fake.plays.append(until_stopped)
        await failure_of(runtime, a_comfyui_job())
        assert len(fake.bodies("/interrupt")) >= 1
        assert not runtime.needs_restart
        assert await runtime.is_ready()


async def test_a_hang_that_no_interrupt_ends_needs_one() -> None:
    async with a_comfyui(hang_after=BRIEF, stop_within=BRIEF, probe_within=BRIEF) as (fake, runtime):
        fake.plays.append(deaf)
        await failure_of(runtime, a_comfyui_job())
        assert len(fake.bodies("/interrupt")) >= 1
        assert runtime.needs_restart
        assert not await runtime.is_ready()


async def test_a_probe_that_goes_well_clears_it() -> None:
    async with a_comfyui() as (fake, runtime):
        fake.plays.append(failing_with("RuntimeError", "CUDA error: device-side assert triggered"))
        await failure_of(runtime, a_comfyui_job())
        assert await runtime.is_ready()
        assert not runtime.needs_restart


async def test_memory_is_what_its_machine_has_not_free() -> None:
    async with a_comfyui() as (fake, runtime):
        stats = recording("get_system_stats")["body"]
        fake.answer("GET", "/system_stats", httpx.Response(200, json=stats))
        assert await runtime.memory_used() == 25276502016 - 23952113664


@pytest.mark.parametrize("answer", [httpx.Response(200, json={"system": {}}), httpx.Response(500)])
async def test_a_server_that_does_not_tell_its_memory_tells_none(answer: httpx.Response) -> None:
    async with a_comfyui() as (fake, runtime):
        fake.answer("GET", "/system_stats", answer)
        assert await runtime.memory_used() is None


async def test_its_server_can_be_looked_into() -> None:
    async with a_comfyui() as (_, runtime):
        assert isinstance(runtime, ServedRuntime)
