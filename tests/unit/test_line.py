"""The line in front of the runtime: the next task is there when one ends, and not long before."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from scheduler_harness import Harness, ScriptedRuntime, a_generation
from sdfleet.aws.clock import SystemClock
from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.domain.task import TaskStatus
from sdfleet.telemetry.logs import JsonFormatter
from sdfleet_scheduler import attempts, line
from sdfleet_scheduler.pace import Pace
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback, RuntimeFailure

KIND = "text-to-image"


class Stage:
    """A runtime whose jobs end when the test says so."""

    def __init__(self, *, has_own_queue: bool = False) -> None:
        self._ends: dict[str, asyncio.Future[Generation]] = {}
        self.runtime = ScriptedRuntime(self._play, has_own_queue=has_own_queue)
        self.harness = Harness(self.runtime, clock=SystemClock())

    async def _play(self, job: Job, on_progress: ProgressCallback) -> Generation:
        self._ends[job.task_id] = asyncio.get_running_loop().create_future()
        return await self._ends[job.task_id]

    @property
    def at_runtime(self) -> list[str]:
        return [job.task_id for job in self.runtime.jobs]

    def end(self, task_id: str) -> None:
        self._ends[task_id].set_result(a_generation())

    def lose(self, task_id: str) -> None:
        self._ends[task_id].set_exception(RuntimeFailure.lost("the server is gone"))

    def expect(self, took_s: float) -> None:
        """Tasks have taken this long so far."""
        self.harness.pace.generated(KIND, timedelta(seconds=took_s))

    def status(self, task_id: str) -> TaskStatus:
        return self.harness.task(task_id).status

    @asynccontextmanager
    async def playing(self, *task_ids: str) -> AsyncIterator[None]:
        for task_id in task_ids:
            self.harness.submit(id=task_id)
        works = [
            asyncio.create_task(work)
            for work in (self.harness.health.watch(), self.harness.poller.run(), self.harness.executor.oversee_drain())
        ]
        try:
            await until(lambda: len(self.at_runtime) > 0)
            yield
        finally:
            self.harness.drain.begin(Notice(NoticeKind.SIGTERM, self.harness.clock.now()))
            await asyncio.wait(works[1:2], timeout=5)
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_next_task_is_claimed_when_the_first_is_about_to_end() -> None:
    stage = Stage()
    stage.expect(0.3)
    async with stage.playing("a", "b"):
        await until(lambda: stage.status("b") is TaskStatus.RUNNING)
        assert stage.at_runtime == ["a"]


async def test_the_next_task_begins_the_moment_the_runtime_is_free() -> None:
    stage = Stage()
    stage.expect(0.3)
    async with stage.playing("a", "b"):
        await until(lambda: stage.status("b") is TaskStatus.RUNNING)
        stage.runtime.jobs[0].on_free()
        await asyncio.sleep(0.01)
        # Task a is not even read to its end.
        assert stage.at_runtime == ["a", "b"]


async def test_no_message_is_taken_while_a_long_task_runs() -> None:
    stage = Stage()
    stage.expect(600)
    async with stage.playing("a", "b"):
        await asyncio.sleep(0.12)
        assert stage.status("b") is TaskStatus.QUEUED
        assert len(stage.harness.executor.runs) == 1


async def test_no_message_is_taken_while_nobody_knows_how_long_the_first_takes() -> None:
    stage = Stage()
    async with stage.playing("a", "b"):
        await asyncio.sleep(0.12)
        assert len(stage.harness.executor.runs) == 1


async def test_progress_tells_when_a_long_task_ends() -> None:
    stage = Stage()
    stage.expect(600)
    async with stage.playing("a", "b"):
        await asyncio.sleep(0.06)
        stage.harness.executor.runs[0].report_progress(0.95)
        await until(lambda: stage.status("b") is TaskStatus.RUNNING)


async def test_no_more_than_one_waits() -> None:
    stage = Stage()
    stage.expect(0.3)
    async with stage.playing("a", "b", "c"):
        await until(lambda: stage.status("b") is TaskStatus.RUNNING)
        await asyncio.sleep(0.06)
        assert stage.status("c") is TaskStatus.QUEUED


async def test_nothing_is_taken_ahead_while_the_instance_is_at_risk() -> None:
    stage = Stage()
    stage.expect(0.3)
    stage.harness.may_look_ahead = False
    async with stage.playing("a", "b"):
        await asyncio.sleep(0.12)
        assert stage.status("b") is TaskStatus.QUEUED


async def test_a_runtime_with_a_queue_gets_the_second_before_the_first_ends() -> None:
    stage = Stage(has_own_queue=True)
    stage.expect(0.3)
    async with stage.playing("a", "b", "c"):
        await until(lambda: stage.at_runtime == ["a", "b"])
        stage.end("a")
        await until(lambda: stage.at_runtime == ["a", "b", "c"])
        assert stage.status("b") is TaskStatus.RUNNING


async def test_one_that_waits_in_vain_is_given_back_uncounted_and_not_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "LONGEST_WAIT", timedelta(seconds=0.1))
    stage = Stage(has_own_queue=True)
    stage.expect(0.3)
    async with stage.playing("a", "b"):
        await until(lambda: stage.runtime.interrupted == ["b"])
        await until(lambda: stage.status("b") is TaskStatus.QUEUED)
        await asyncio.sleep(0.06)
        assert stage.at_runtime == ["a", "b"]
        assert stage.harness.task("b").attempt == 1
        assert stage.status("a") is TaskStatus.RUNNING


async def test_a_runtime_lost_under_the_first_costs_the_second_nothing() -> None:
    stage = Stage()
    stage.expect(0.3)
    async with stage.playing("a", "b"):
        await until(lambda: stage.status("b") is TaskStatus.RUNNING)
        stage.runtime.up = False
        stage.lose("a")
        await until(lambda: stage.status("b") is TaskStatus.QUEUED)
        assert (stage.harness.task("b").attempt, stage.harness.task("b").losses) == (1, 0)
        assert stage.at_runtime == ["a"]


async def test_what_waited_in_the_lost_servers_own_queue_costs_nothing_either() -> None:
    stage = Stage(has_own_queue=True)
    stage.expect(0.3)
    async with stage.playing("a", "b"):
        await until(lambda: stage.at_runtime == ["a", "b"])
        stage.runtime.up = False
        stage.lose("b")
        stage.lose("a")
        await until(lambda: stage.status("b") is TaskStatus.QUEUED)
        assert stage.harness.task("b").losses == 0


async def test_a_drain_gives_back_the_one_that_waits_and_lets_the_first_finish(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage()
    stage.expect(0.3)
    async with stage.playing("a", "b"):
        await until(lambda: stage.status("b") is TaskStatus.RUNNING)
        stage.harness.drain.begin(Notice(NoticeKind.SIGTERM, stage.harness.clock.now() + timedelta(minutes=1)))
        await until(lambda: stage.status("b") is TaskStatus.QUEUED)
        assert stage.status("a") is TaskStatus.RUNNING
        stage.end("a")
        await until(lambda: stage.status("a") is TaskStatus.SUCCEEDED)
    (stopped,) = [JsonFormatter().format(one) for one in caplog.records if one.message == "task.stopped"]
    assert json.loads(stopped)["has_begun"] is False


def test_a_runs_end_is_told_by_its_progress() -> None:
    assert Pace().remaining(KIND, elapsed=timedelta(seconds=30), progress=0.75) == timedelta(seconds=10)


def test_without_progress_earlier_tasks_tell() -> None:
    pace = Pace()
    for seconds in (2, 3, 60):
        pace.generated(KIND, timedelta(seconds=seconds))
    assert pace.remaining(KIND, elapsed=timedelta(seconds=1), progress=0.0) == timedelta(seconds=2)


def test_nobody_knows_the_end_of_the_first_task_of_a_kind() -> None:
    assert Pace().remaining(KIND, elapsed=timedelta(seconds=1), progress=0.0) is None


def test_the_lead_fits_a_slow_preparation() -> None:
    assert line.LEAST_LEAD < line.LONGEST_LEAD < line.LONGEST_WAIT
