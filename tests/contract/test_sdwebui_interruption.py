from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import TaskType
from sdfleet_scheduler.runtimes.base import Generation, Job, RuntimeFailure
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime
from webui_double import WebUi, a_webui_job

FLAVOURS = ("a1111", "forge")
INTERRUPT = "/sdapi/v1/interrupt"


@pytest.fixture(params=FLAVOURS)
def webui(request: pytest.FixtureRequest) -> WebUi:
    """Keeps its jobs running."""
    webui = WebUi(request.param)
    webui.busy = asyncio.Event()
    return webui


async def started(webui: WebUi, runtime: SdWebUiRuntime, job: Job | None = None) -> asyncio.Task[Generation]:
    generating = asyncio.create_task(runtime.generate(job or a_webui_job(n_iter=2), lambda share: None))
    await webui.running.wait()
    return generating


async def failure_of(generating: asyncio.Task[Generation]) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await generating
    return caught.value


async def test_a_cancelled_job_is_interrupted_and_waited_for(webui: WebUi) -> None:
    generating = await started(webui, webui.runtime())

    generating.cancel()

    with pytest.raises(asyncio.CancelledError):
        await generating
    assert len(webui.sent(INTERRUPT)) == 1
    assert webui.state["job"] == ""


async def test_the_next_job_after_a_cancelled_one_is_whole(webui: WebUi) -> None:
    runtime = webui.runtime()
    generating = await started(webui, runtime)
    generating.cancel()
    await asyncio.wait({generating})

    generation = await runtime.generate(a_webui_job(n_iter=2), lambda share: None)

    assert len(generation.files) == 2


async def test_a_second_cancellation_does_not_cut_the_stopping_short(webui: WebUi) -> None:
    generating = await started(webui, webui.runtime())

    generating.cancel()
    await asyncio.sleep(0)
    generating.cancel()

    with pytest.raises(asyncio.CancelledError):
        await generating
    assert webui.state["job"] == ""


async def test_a_job_behind_somebody_elses_is_not_interrupted_before_its_turn(webui: WebUi) -> None:
    generating = await started(webui, webui.runtime(stop_within=timedelta(milliseconds=60)))
    webui.becomes_anothers()

    generating.cancel()

    with pytest.raises(asyncio.CancelledError):
        await generating
    assert not webui.sent(INTERRUPT)


async def test_without_its_page_the_server_is_interrupted_while_our_request_is_in_flight() -> None:
    webui = WebUi(has_page=False)
    webui.busy = asyncio.Event()
    generating = await started(webui, webui.runtime())

    generating.cancel()

    with pytest.raises(asyncio.CancelledError):
        await generating
    assert len(webui.sent(INTERRUPT)) == 1


async def test_upscaling_is_interrupted_by_what_the_server_calls_it(webui: WebUi) -> None:
    generating = await started(webui, webui.runtime(), a_webui_job(TaskType.EXTRA_SINGLE_IMAGE))

    generating.cancel()

    with pytest.raises(asyncio.CancelledError):
        await generating
    assert len(webui.sent(INTERRUPT)) == 1


async def test_a_job_that_cannot_be_stopped_makes_the_server_unusable_until_it_is_proven(webui: WebUi) -> None:
    webui.is_deaf = True
    runtime = webui.runtime(stop_within=timedelta(milliseconds=20), probe_within=timedelta(milliseconds=20))
    generating = await started(webui, runtime)
    generating.cancel()
    await asyncio.wait({generating})

    failure = await failure_of(asyncio.create_task(runtime.generate(a_webui_job(), lambda share: None)))

    assert failure.kind is FailureKind.RUNTIME_LOST
    assert not await runtime.is_ready()
    assert webui.busy is not None
    webui.busy.set()
    async with asyncio.timeout(5):
        while not await runtime.is_ready():
            pass
    assert (await runtime.generate(a_webui_job(), lambda share: None)).files


async def test_somebody_elses_interrupt_taints_a_picture_that_looks_whole(webui: WebUi) -> None:
    generating = await started(webui, webui.runtime(watch_interval=timedelta(minutes=1)), a_webui_job())

    await webui.client().post(INTERRUPT)

    assert (await failure_of(generating)).kind is FailureKind.INTERRUPTED


async def test_somebody_elses_interrupt_is_seen_even_if_another_job_runs_next(webui: WebUi) -> None:
    webui.is_deaf = True
    generating = await started(webui, webui.runtime(), a_webui_job())
    await webui.client().post(INTERRUPT)
    await webui.looked_at()

    assert webui.busy is not None
    webui.busy.set()
    webui.state = {**webui.state, "interrupted": False}

    assert (await failure_of(generating)).kind is FailureKind.INTERRUPTED


async def test_an_interrupt_of_the_idle_server_taints_nothing(webui: WebUi) -> None:
    webui.busy = None
    runtime = webui.runtime()

    for _ in range(2):
        await webui.client().post(INTERRUPT)
        assert (await runtime.generate(a_webui_job(), lambda share: None)).files


async def test_a_stale_mark_does_not_excuse_a_bad_request(webui: WebUi) -> None:
    """A picture that cannot be decoded fails before the server begins a job and clears its mark."""
    webui.refuses_before_beginning = True
    await webui.client().post(INTERRUPT)

    generating = asyncio.create_task(webui.runtime().generate(a_webui_job(TaskType.IMAGE_TO_IMAGE), lambda share: None))

    assert (await failure_of(generating)).code == "invalid_image"


class Seconds:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_server_that_does_not_move_on_is_interrupted_and_lost(webui: WebUi) -> None:
    clock = Seconds()
    generating = await started(webui, webui.runtime(monotonic=clock))
    await webui.looked_at()

    clock.now += 601

    failure = await failure_of(generating)
    assert failure.kind is FailureKind.RUNTIME_LOST
    assert str(failure) == "The WebUI has not moved on for 10 minutes; it must be restarted."
    assert len(webui.sent(INTERRUPT)) == 1


async def test_a_server_that_moves_on_slowly_does_not_hang(webui: WebUi) -> None:
    clock = Seconds()
    generating = await started(webui, webui.runtime(monotonic=clock), a_webui_job())

    for step in range(1, 4):
        webui.state = {**webui.state, "sampling_step": step}
        await webui.looked_at()
        clock.now += 599
    assert webui.busy is not None
    webui.busy.set()

    assert (await generating).files


async def test_progress_is_that_of_the_task(webui: WebUi) -> None:
    seen: list[float] = []
    webui.progress = 0.25
    generating = asyncio.create_task(webui.runtime().generate(a_webui_job(), seen.append))
    await webui.running.wait()
    await webui.looked_at()
    webui.becomes_anothers()
    webui.progress = 0.75
    await webui.looked_at()
    assert webui.busy is not None
    webui.busy.set()
    await generating

    assert set(seen) == {0.25}


async def test_without_its_page_the_server_still_tells_progress() -> None:
    webui = WebUi(has_page=False)
    webui.busy, webui.progress = asyncio.Event(), 0.5
    seen: list[float] = []
    generating = asyncio.create_task(webui.runtime().generate(a_webui_job(), seen.append))
    await webui.running.wait()
    await webui.looked_at()
    webui.busy.set()
    await generating

    assert set(seen) == {0.5}
