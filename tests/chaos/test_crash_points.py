"""A scheduler that dies between two steps: the next receive of the message mends it without a visible duplicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import pytest

from builders import LEASE, OUTPUT_BUCKET
from scheduler_harness import Harness
from sdfleet.domain.task import Task, TaskStatus
from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.memory.task_store import MemoryTaskStore
from sdfleet.memory.topic import MemoryTopic
from sdfleet.ports import Clock

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: nothing after this runs, no handler catches it."""


class Cut:
    """Counts the side effects of a run and kills the process before or after the one with this number."""

    def __init__(self, at: int, *, after: bool) -> None:
        self._at = at
        self._after = after
        self.steps: list[str] = []
        self.is_armed = True

    def step(self, name: str, action: Callable[[], T]) -> T:
        if not self.is_armed:
            return action()
        self.steps.append(name)
        is_here = len(self.steps) == self._at
        if is_here and not self._after:
            raise Killed
        result = action()
        if is_here:
            raise Killed
        return result


class CutStore(MemoryTaskStore):
    def __init__(self, clock: Clock, cut: Cut) -> None:
        super().__init__(clock)
        self._cut = cut

    def save(self, task: Task, *, expecting: Task) -> Task:
        return self._cut.step(f"record {task.status}", lambda: super(CutStore, self).save(task, expecting=expecting))


class CutArtifacts(MemoryArtifactStore):
    def __init__(self, cut: Cut) -> None:
        super().__init__()
        self._cut = cut

    def put(self, url: str, data: bytes, *, content_type: str) -> None:
        self._cut.step("bytes", lambda: super(CutArtifacts, self).put(url, data, content_type=content_type))


class CutTopic(MemoryTopic):
    def __init__(self, cut: Cut) -> None:
        super().__init__()
        self._cut = cut

    def publish(self, body: str, attributes: Mapping[str, str], *, group: str | None = None) -> None:
        self._cut.step("notify", lambda: super(CutTopic, self).publish(body, attributes, group=group))


class CutQueue(MemoryTaskQueue):
    def __init__(self, clock: Clock, cut: Cut) -> None:
        super().__init__(clock)
        self._cut = cut

    def delete(self, receipt: str) -> None:
        self._cut.step("delete", lambda: super(CutQueue, self).delete(receipt))


def a_cut_harness(cut: Cut, clock: FakeClock) -> Harness:
    harness = Harness(clock=clock)
    harness.memory_store = harness.store = CutStore(clock, cut)
    harness.artifacts = CutArtifacts(cut)
    harness.results = CutTopic(cut)
    harness.queue = CutQueue(clock, cut)
    harness.build()
    return harness


async def run_cut_at(number: int, *, after: bool) -> tuple[Harness, Cut]:
    cut = Cut(number, after=after)
    clock = FakeClock()
    harness = a_cut_harness(cut, clock)
    cut.is_armed = False
    harness.submit()
    cut.is_armed = True
    try:
        await harness.run_next()
    except Killed:
        cut.is_armed = False
        clock.advance(LEASE + timedelta(seconds=1))
        if harness.queue.depth():
            await harness.run_next()
    return harness, cut


async def test_the_order_of_settlement_is_law() -> None:
    _, cut = await run_cut_at(99, after=False)
    assert cut.steps == ["record running", "bytes", "bytes", "record succeeded", "notify", "record succeeded", "delete"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 8))
async def test_a_crash_at_any_step_ends_in_one_result_set_and_at_least_one_notice(number: int, after: bool) -> None:
    harness, _ = await run_cut_at(number, after=after)
    task = harness.task()
    assert task.status is TaskStatus.SUCCEEDED
    assert task.notified_at is not None
    assert harness.queue.depth() == 0
    assert len(harness.outputs()) == 2
    assert all(url.startswith(f"s3://{OUTPUT_BUCKET}/output/test-t2i/test-t2i-") for url in harness.outputs())
    notices = harness.notices()
    assert 1 <= len(notices) <= 2
    assert all(notice == notices[0] for notice in notices)
