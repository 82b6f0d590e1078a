"""A submission cut between any two of its steps is run once, whoever completes it and however often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from scheduler_harness import Harness as Instance
from scheduler_harness import ScriptedRuntime, a_generation
from sdfleet.domain.task import TaskStatus
from sdfleet_lambdas import sweeper
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback
from service_harness import Fuse, Harness, a_request, fuse_submission

#: content, record, publish, mark: a cut before and one after each.
STEPS = range(8)
AFTER_RECORD = 3

#: Kept as an item of the table; as an object, and still inside the message; as an object that the message names.
CONTENTS = ({"prompt": "A dog"}, {"prompt": "A dog " * 20_000}, {"prompt": "A dog " * 50_000})


class Killed(BaseException):
    """The process ended."""


class Whole:
    """The handlers and one instance, on the same records, objects and topics."""

    def __init__(self, runtime: ScriptedRuntime | None = None, *, content: dict[str, Any] | None = None) -> None:
        self.content = content
        self.service = Harness()
        self.instance = Instance(runtime, clock=self.service.clock)
        self.instance.artifacts = self.service.artifacts
        self.instance.results = self.service.results
        self.instance.memory_store = self.service.tasks
        self.instance.store = self.service.tasks
        self.instance.build()
        self.service.requests.subscribe(self.instance.queue, {"runtime": ["sdruntime"], "accepted": ["1"]})

    def submit_cut_off(self, at: int, **headers: str) -> None:
        services = self.service.services
        fuse_submission(self.service, Fuse(at=at, error=Killed()))
        with pytest.raises(Killed):
            self.service.post(a_request(self.content), **headers)
        self.service.services = services

    def submit_again(self, **headers: str) -> None:
        assert self.service.post(a_request(self.content), **headers).status == 200

    def sweep(self) -> None:
        self.service.clock.advance(timedelta(minutes=2))
        sweeper.handle({}, self.service.services)

    async def run_everything(self) -> None:
        while self.instance.queue.depth():
            await self.instance.run_next()

    def assert_run_once(self) -> None:
        assert [job.task_id for job in self.instance.runtime.jobs] == ["test-t2i"]
        assert self.service.task().status is TaskStatus.SUCCEEDED
        assert len(self.service.published_runs()) == 1
        assert [notice["status"] for notice in self.service.notices()] == ["completed"]
        assert self.service.kept() == []


def repeat(whole: Whole) -> None:
    whole.submit_again()


def sweep_and_repeat(whole: Whole) -> None:
    whole.sweep()
    whole.submit_again()


def repeat_and_sweep(whole: Whole) -> None:
    whole.submit_again()
    whole.sweep()


def repeat_twice(whole: Whole) -> None:
    whole.submit_again()
    whole.submit_again()


@pytest.mark.parametrize("content", CONTENTS, ids=["item", "object", "location"])
@pytest.mark.parametrize("complete", [repeat, sweep_and_repeat, repeat_and_sweep, repeat_twice])
@pytest.mark.parametrize("at", STEPS)
async def test_a_cut_submission_is_run_once(
    at: int, complete: Callable[[Whole], None], content: dict[str, Any]
) -> None:
    whole = Whole(content=content)
    whole.submit_cut_off(at)
    complete(whole)
    await whole.run_everything()
    whole.assert_run_once()


@pytest.mark.parametrize("content", CONTENTS, ids=["item", "object", "location"])
@pytest.mark.parametrize("at", range(AFTER_RECORD, len(STEPS)))
async def test_the_sweeper_alone_completes_what_has_a_record(at: int, content: dict[str, Any]) -> None:
    whole = Whole(content=content)
    whole.submit_cut_off(at)
    whole.sweep()
    await whole.run_everything()
    whole.assert_run_once()


@pytest.mark.parametrize("at", STEPS)
async def test_a_key_never_runs_twice_not_even_when_it_comes_again_after_the_end(at: int) -> None:
    whole = Whole()
    whole.submit_cut_off(at, idempotency_key="k")
    whole.submit_again(idempotency_key="k")
    await whole.run_everything()
    whole.submit_again(idempotency_key="k")
    await whole.run_everything()
    whole.assert_run_once()


@pytest.mark.parametrize("completed_by", [Whole.sweep, Whole.submit_again])
async def test_a_message_published_again_while_the_first_is_being_run_does_not_run(
    completed_by: Callable[[Whole], None],
) -> None:
    async def meanwhile(job: Job, on_progress: ProgressCallback) -> Generation:
        # The handler never marked it as published; the claim did.
        completed_by(whole)
        await asyncio.sleep(0)
        return a_generation()

    whole = Whole(ScriptedRuntime(meanwhile))
    # The message is out, the mark is not written: `before save`.
    whole.submit_cut_off(6)
    await whole.instance.run_next()
    whole.service.clock.advance(timedelta(hours=1))
    await whole.run_everything()
    whole.assert_run_once()


async def test_a_second_delivery_beside_the_running_first_waits_and_is_then_only_deleted() -> None:
    is_running, may_end = asyncio.Event(), asyncio.Event()

    async def until_told(job: Job, on_progress: ProgressCallback) -> Generation:
        is_running.set()
        await may_end.wait()
        return a_generation()

    whole = Whole(ScriptedRuntime(until_told))
    whole.submit_cut_off(6)
    whole.submit_again()
    assert whole.instance.queue.depth() == 2

    first = asyncio.create_task(whole.instance.run_next())
    await is_running.wait()
    await whole.instance.run_next()
    assert whole.instance.queue.depth() == 2
    may_end.set()
    await first
    whole.service.clock.advance(timedelta(minutes=5))
    await whole.run_everything()
    whole.assert_run_once()
