"""How a run ends early: cancelled, out of time, out of its lease, drained; and what is not begun at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from behaviours import hangs, is_lost
from builders import LEASE
from scheduler_harness import Harness, ScriptedRuntime, a_generation, a_real_time_harness, succeeds, until_claimed
from sdfleet.domain import transitions
from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.domain.task import TaskStatus
from sdfleet.domain.wire import messages
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback


async def test_a_cancel_of_a_running_task_interrupts_it_and_says_cancelled() -> None:
    harness = a_real_time_harness(ScriptedRuntime(hangs), visibility_s=0.6)
    harness.submit()
    running = asyncio.create_task(harness.run_next())
    await until_claimed(harness)
    task = harness.task()
    harness.memory_store.save(transitions.request_cancel(task, now=harness.clock.now()), expecting=task)
    async with asyncio.timeout(5):
        await running
    assert harness.runtime.interrupted == ["test-t2i"]
    assert harness.task().status is TaskStatus.CANCELLED
    assert [notice["status"] for notice in harness.notices()] == ["cancelled"]
    assert harness.queue.depth() == 0


async def test_a_lost_lease_stops_the_work_and_leaves_the_record_alone() -> None:
    harness = a_real_time_harness(ScriptedRuntime(hangs), visibility_s=0.6)
    harness.submit()
    running = asyncio.create_task(harness.run_next())
    await until_claimed(harness)
    (message,) = harness.queue.bodies()
    harness.queue.send(message)
    # Somebody else deletes ours: SQS would answer the next heartbeat with an invalid receipt.
    harness.queue._entries.pop(0)
    async with asyncio.timeout(5):
        await running
    assert harness.runtime.interrupted == ["test-t2i"]
    assert harness.task().status is TaskStatus.RUNNING
    assert harness.notices() == []


async def test_a_task_that_takes_longer_than_its_timeout_is_interrupted_and_counted() -> None:
    harness = a_real_time_harness(ScriptedRuntime(hangs))
    harness.submit(timeout=timedelta(seconds=0.1), max_attempts=1)
    await harness.run_next()
    assert harness.runtime.interrupted == ["test-t2i"]
    assert harness.notices()[0]["error"]["code"] == "timeout"


async def test_a_drain_without_time_gives_the_task_back_uncounted_and_visible_at_once() -> None:
    harness = a_real_time_harness(ScriptedRuntime(hangs))
    harness.submit()
    running = asyncio.create_task(harness.run_next())
    overseer = asyncio.create_task(harness.executor.oversee_drain())
    await until_claimed(harness)
    harness.drain.begin(Notice(NoticeKind.SPOT_INTERRUPTION, harness.clock.now()))
    async with asyncio.timeout(5):
        await running
    overseer.cancel()
    assert (harness.task().status, harness.task().attempt) == (TaskStatus.QUEUED, 1)
    assert harness.notices() == []
    (again,) = harness.queue.receive(max_messages=1, wait=timedelta(0), visibility=LEASE)
    assert messages.read_message(again.body).task_id == "test-t2i"


async def test_a_drain_with_time_lets_the_task_finish() -> None:
    async def takes_a_moment(job: Job, on_progress: ProgressCallback) -> Generation:
        await asyncio.sleep(0.1)
        return a_generation()

    harness = a_real_time_harness(ScriptedRuntime(takes_a_moment))
    harness.submit()
    running = asyncio.create_task(harness.run_next())
    overseer = asyncio.create_task(harness.executor.oversee_drain())
    await until_claimed(harness)
    harness.drain.begin(Notice(NoticeKind.SIGTERM, harness.clock.now() + timedelta(seconds=60)))
    await running
    overseer.cancel()
    assert harness.task().status is TaskStatus.SUCCEEDED


async def test_the_poller_gives_back_everything_on_a_drain_and_returns() -> None:
    harness = a_real_time_harness(ScriptedRuntime(hangs), visibility_s=30)
    for number in range(3):
        harness.submit(id=f"t-{number}")
    works = [asyncio.create_task(work) for work in (harness.health.watch(), harness.executor.oversee_drain())]
    polling = asyncio.create_task(harness.poller.run())
    await until_claimed(harness)
    harness.drain.begin(Notice(NoticeKind.SPOT_INTERRUPTION, harness.clock.now()))
    async with asyncio.timeout(5):
        await polling
    for work in works:
        work.cancel()
    again = harness.queue.receive(max_messages=10, wait=timedelta(0), visibility=LEASE)
    assert len(again) == 3
    assert {harness.task(f"t-{number}").status for number in range(3)} == {TaskStatus.QUEUED}


async def test_nothing_is_received_while_the_runtime_is_down() -> None:
    runtime = ScriptedRuntime()
    runtime.up = False
    harness = a_real_time_harness(runtime)
    harness.submit()
    works = [asyncio.create_task(work) for work in (harness.health.watch(), harness.poller.run())]
    await asyncio.sleep(0.15)
    assert runtime.jobs == []
    runtime.up = True
    async with asyncio.timeout(5):
        while not harness.task().is_terminal:
            await asyncio.sleep(0.01)
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)
    assert harness.task().status is TaskStatus.SUCCEEDED


async def test_a_task_that_lost_its_runtime_is_not_run_again_before_the_runtime_is_back() -> None:
    runtime = ScriptedRuntime()

    async def dies(job: Job, on_progress: ProgressCallback) -> Generation:
        runtime.up = False
        return await is_lost(job, on_progress)

    runtime.behave(dies, succeeds)
    clock = FakeClock()
    harness = Harness(runtime, clock=clock)
    harness.submit()
    works = [asyncio.create_task(work) for work in (harness.health.watch(), harness.poller.run())]
    async with asyncio.timeout(5):
        while harness.executor.runs or not runtime.jobs:
            await asyncio.sleep(0.01)
    clock.advance(timedelta(seconds=5))
    await asyncio.sleep(0.1)
    assert len(runtime.jobs) == 1
    runtime.up = True
    async with asyncio.timeout(5):
        while not harness.task().is_terminal:
            await asyncio.sleep(0.01)
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)
    assert (harness.task().status, harness.task().attempt) == (TaskStatus.SUCCEEDED, 1)


async def test_a_long_task_is_not_begun_on_an_instance_at_risk() -> None:
    clock = FakeClock()
    harness = Harness(clock=clock)
    harness.may_look_ahead = False
    harness.submit(timeout=timedelta(hours=2))
    await harness.run_next()
    assert harness.runtime.jobs == []
    assert harness.task().status is TaskStatus.QUEUED
    clock.advance(timedelta(seconds=6))
    harness.may_look_ahead = True
    await harness.run_next()
    assert harness.task().status is TaskStatus.SUCCEEDED
