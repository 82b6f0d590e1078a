"""A hundred cancels of a task at random moments, its neighbour right behind it: nobody else is ever cut short."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from scheduler_harness import Harness as Instance
from scheduler_harness import ScriptedRuntime, a_generation
from sdfleet.aws.clock import SystemClock
from sdfleet.domain.task import TaskStatus
from sdfleet_scheduler.heartbeat import Heartbeat
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback, RuntimeFailure
from service_harness import Harness as Service

COUNT = 100
SEED = 7
VISIBILITY = timedelta(seconds=30)
#: Of a cancelled task; its neighbour takes a third of it.
TASK_S = 0.03
STEPS = 5


class OneJobServer(ScriptedRuntime):
    """As ComfyUI: a queue, and an interrupt that hits whatever runs at that moment."""

    def __init__(self, *, has_own_queue: bool) -> None:
        super().__init__(has_own_queue=has_own_queue)
        self._gpu = asyncio.Lock()
        self._running: str | None = None
        self._is_interrupted = False
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.stopped: Counter[str] = Counter()
        self._moments: dict[tuple[str, str], asyncio.Event] = {}

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        if not self.has_own_queue:
            await job.turn()
        self.moment("handed over", job.task_id).set()
        try:
            async with self._gpu:
                self._begin(job.task_id)
                seconds = TASK_S if job.task_id.startswith("a-") else TASK_S / 3
                for step in range(STEPS):
                    await asyncio.sleep(seconds / STEPS)
                    if self._is_interrupted:
                        raise RuntimeFailure.interrupted("somebody else's interrupt hit this job")
                    on_progress((step + 1) / STEPS)
                self.ended[job.task_id] += 1
            job.on_free()
            return a_generation()
        except asyncio.CancelledError:
            self.stopped[job.task_id] += 1
            if self._running == job.task_id:
                self._is_interrupted = True
            raise

    def moment(self, name: str, task_id: str) -> asyncio.Event:
        """Set once the task is `handed over`, which may be into the queue, or its generation has `begun`."""
        return self._moments.setdefault((name, task_id), asyncio.Event())

    def _begin(self, task_id: str) -> None:
        self._running, self._is_interrupted = task_id, False
        self.begun[task_id] += 1
        self.moment("begun", task_id).set()


@asynccontextmanager
async def working(instance: Instance) -> AsyncIterator[None]:
    # A cancel is heard of within milliseconds, so that it comes to every moment of a task of some.
    instance.executor._heartbeat = Heartbeat(instance.clock, visibility=VISIBILITY, sleep=_briefly)
    works = [asyncio.create_task(work) for work in (instance.health.watch(), instance.poller.run())]
    try:
        yield
    finally:
        for work in works:
            work.cancel()
        await asyncio.wait(works)


async def _briefly(_seconds: float) -> None:
    await asyncio.sleep(0.004)


def the_api_of(instance: Instance) -> Service:
    service = Service()
    service.rewire(tasks=instance.memory_store, results=instance.results, clock=instance.clock)
    return service


async def cancel_at_random(dice: random.Random, service: Service, runtime: OneJobServer, task_id: str) -> int:
    """The answer's status: while it is queued, handed over, begun, about to end or over."""
    moment = dice.choices(("queued", "handed over", "begun"), (1, 2, 7))[0]
    if moment != "queued":
        await runtime.moment(moment, task_id).wait()
    if moment == "begun":
        await asyncio.sleep(dice.uniform(0, 1.5 * TASK_S))
    answer = await asyncio.to_thread(service.call, "DELETE", f"/v1alpha2/tasks/{task_id}")
    return answer.status


@pytest.mark.parametrize("has_own_queue", [False, True], ids=["one at a time", "one queued ahead"])
async def test_a_cancel_never_touches_the_neighbour(has_own_queue: bool) -> None:
    dice = random.Random(SEED)
    runtime = OneJobServer(has_own_queue=has_own_queue)
    instance = Instance(runtime, clock=SystemClock(), visibility=VISIBILITY)
    service = the_api_of(instance)
    cancelled, neighbours = ([f"{letter}-{number}" for number in range(COUNT)] for letter in "ab")
    for pair in zip(cancelled, neighbours, strict=True):
        for task_id in pair:
            instance.submit(id=task_id)

    async with asyncio.timeout(60), working(instance):
        cancels = [cancel_at_random(dice, service, runtime, task_id) for task_id in cancelled]
        answers = dict(zip(cancelled, await asyncio.gather(*cancels), strict=True))
        while instance.queue.depth():
            await asyncio.sleep(0.02)

    told: dict[str, set[str]] = {}
    for notice in instance.notices():
        told.setdefault(notice["id"], set()).add(notice["status"])

    for task_id in neighbours:
        assert instance.task(task_id).status is TaskStatus.SUCCEEDED
        assert (runtime.begun[task_id], runtime.ended[task_id], runtime.stopped[task_id]) == (1, 1, 0)
        assert told[task_id] == {"completed"}
    for task_id in cancelled:
        status = instance.task(task_id).status
        assert status in (TaskStatus.SUCCEEDED, TaskStatus.CANCELLED)
        assert told[task_id] == {"completed" if status is TaskStatus.SUCCEEDED else "cancelled"}
        # 409: it had ended by itself before. 202 is a wish, which may come too late.
        assert answers[task_id] == 202 or status is TaskStatus.SUCCEEDED
        assert answers[task_id] in (202, 409)
    # The moments were what they are meant to be: some before, some amid, some after.
    outcomes = Counter((instance.task(task_id).status, runtime.begun[task_id]) for task_id in cancelled)
    assert outcomes[TaskStatus.CANCELLED, 0] > 0
    assert outcomes[TaskStatus.CANCELLED, 1] > COUNT / 10
    assert outcomes[TaskStatus.SUCCEEDED, 1] > COUNT / 10
