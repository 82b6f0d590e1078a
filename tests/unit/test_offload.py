"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from sdfleet_scheduler.offload import MAX_THREADS, offload

NAME: ContextVar[str] = ContextVar("NAME")


async def test_its_result_and_its_error_are_the_functions() -> None:
    assert await offload(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await offload(divmod, 7, 0)


async def test_an_error_that_no_future_takes_is_told_as_another() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await offload(next, iter(()))


async def test_it_sees_what_is_bound_to_its_caller() -> None:
    NAME.set("task-1")
    assert await offload(NAME.get) == "task-1"


async def test_as_many_calls_as_there_are_threads_run_at_once_and_the_others_wait() -> None:
    together = threading.Barrier(MAX_THREADS)
    calls = [asyncio.create_task(offload(together.wait, 5.0)) for _ in range(2 * MAX_THREADS)]
    assert sorted(await asyncio.gather(*calls)) == sorted([*range(MAX_THREADS)] * 2)


async def test_a_caller_that_is_cancelled_leaves_its_call_to_its_end() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        may_end.wait(5.0)
        ended.set()

    caller = asyncio.create_task(offload(call))
    await offload(begun.wait, 5.0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_end.set()
    assert await offload(ended.wait, 5.0)


def test_a_call_that_outlives_its_loop_troubles_nobody() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def call() -> None:
        may_end.wait(5.0)
        ended.set()

    async def leave_it() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(offload(call), 0.01)

    asyncio.run(leave_it())
    may_end.set()
    assert ended.wait(5.0)
    # Its thread serves the next loop.
    assert asyncio.run(offload(divmod, 7, 2)) == (3, 1)
