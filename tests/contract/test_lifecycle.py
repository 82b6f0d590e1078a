"""The termination hook: held by heartbeats while work goes on, completed after the last settlement."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ParamSpec, TypeVar

import pytest
from fastapi import FastAPI

from behaviours import hangs
from builders import INSTANCE, NOON
from fake_imds import FakeImds
from scheduler_harness import Harness, ScriptedRuntime, a_generation
from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.domain.task import TaskStatus
from sdfleet.environment import SchedulerEnvironment
from sdfleet.errors import LifecycleActionNotFound, ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.ports import Clock
from sdfleet_scheduler import lifecycle
from sdfleet_scheduler.composition import Parts
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.identity import Identity
from sdfleet_scheduler.interruption_watch import InterruptionWatch
from sdfleet_scheduler.lifecycle import Lifecycle, TerminationHook
from sdfleet_scheduler.recycling import Recycling
from sdfleet_scheduler.runtime_keeper import RuntimeKeeper
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback
from sdfleet_scheduler.supervisor import supervise
from sdfleet_scheduler.task_tally import TaskTally

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT = timedelta(seconds=60)
DRAIN_TIMEOUT = timedelta(seconds=75)
LONGEST_WAIT = timedelta(hours=2)
SECOND = timedelta(seconds=1)
TERMINATED = {"autoscaling__target_lifecycle_state": "Terminated"}


@dataclass
class RecordingHooks:
    """Writes down what is called; each call meets the next error, if there is one."""

    calls: list[str] = field(default_factory=list)
    errors: list[Exception | None] = field(default_factory=list)

    def complete(self, instance_id: str) -> None:
        self._answer(f"complete {instance_id}")

    def heartbeat(self, instance_id: str) -> None:
        self._answer(f"heartbeat {instance_id}")

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


@dataclass
class RecordingHealth:
    """A group that lets an instance go as soon as it hears that it is unhealthy."""

    imds: FakeImds
    calls: list[str]
    is_up: bool = True

    def report_unhealthy(self, instance_id: str) -> None:
        self.calls.append(f"unhealthy {instance_id}")
        if not self.is_up:
            raise ServiceUnavailable
        self.imds.values["autoscaling/target-lifecycle-state"] = "Terminated"


class Bench:
    def __init__(self, imds: FakeImds, *, clock: Clock | None = None) -> None:
        self.clock = clock or FakeClock(NOON)
        self.imds = imds
        self.drain = Drain()
        self.hooks = RecordingHooks()
        self.watch = InterruptionWatch(
            imds.client(), self.drain, self.clock, drain_timeout=DRAIN_TIMEOUT, longest_wait=LONGEST_WAIT
        )
        hook = TerminationHook(self.hooks, TIMEOUT, DRAIN_TIMEOUT)
        self.health = RecordingHealth(imds, self.hooks.calls)
        self.lifecycle = Lifecycle(hook, self.watch, self.drain, self.clock, instance_id=INSTANCE, health=self.health)

    async def hold(self, *, after: timedelta = timedelta(0)) -> None:
        assert isinstance(self.clock, FakeClock)
        self.clock.advance(after)
        await self.watch.poll()
        await self.lifecycle.hold()

    def deadline(self) -> timedelta:
        """From noon."""
        assert self.drain.notice is not None
        return self.drain.notice.deadline - NOON


HEARTBEAT = f"heartbeat {INSTANCE}"
COMPLETE = f"complete {INSTANCE}"
UNHEALTHY = f"unhealthy {INSTANCE}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "PAUSE", timedelta(milliseconds=1))
    monkeypatch.setattr(lifecycle, "ACTION_LAG", timedelta(seconds=3))


async def test_an_instance_that_stays_sends_no_heartbeat() -> None:
    bench = Bench(FakeImds(autoscaling__target_lifecycle_state="InService"))
    await bench.hold()
    assert bench.hooks.calls == []


async def test_the_first_heartbeat_comes_at_once_and_the_next_at_a_third_of_the_timeout() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    for _ in range(41):
        await bench.hold(after=SECOND)
    assert bench.hooks.calls == [HEARTBEAT] * 3
    assert bench.deadline() == SECOND + LONGEST_WAIT


async def test_a_spot_notice_ends_the_heartbeats() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    await bench.hold()
    bench.imds.values["spot/instance-action"] = json.dumps({"action": "terminate", "time": "2026-11-02T12:02:00Z"})
    await bench.hold(after=TIMEOUT)
    assert bench.hooks.calls == [HEARTBEAT]
    assert bench.deadline() == timedelta(minutes=2)


async def test_without_a_hook_the_deadline_is_short_again() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    bench.hooks.errors = [LifecycleActionNotFound()] * 9
    for _ in range(9):
        await bench.hold(after=SECOND)
    assert len(bench.hooks.calls) < 9
    assert bench.deadline() == 4 * SECOND + DRAIN_TIMEOUT


async def test_a_hook_that_is_a_little_late_is_waited_for() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    bench.hooks.errors = [LifecycleActionNotFound(), None]
    await bench.hold()
    await bench.hold(after=SECOND)
    assert bench.hooks.calls == [HEARTBEAT] * 2
    assert bench.deadline() == LONGEST_WAIT


async def test_one_lost_heartbeat_changes_nothing() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    bench.hooks.errors = [None, ServiceUnavailable(), None]
    await bench.hold()
    await bench.hold(after=20 * SECOND)
    await bench.hold(after=5 * SECOND)
    assert bench.hooks.calls == [HEARTBEAT] * 3
    assert bench.deadline() == LONGEST_WAIT


async def test_heartbeats_that_never_arrive_leave_the_time_of_the_last_one() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    bench.hooks.errors = [None, *[ServiceUnavailable()] * 99]
    for _ in range(50):
        await bench.hold(after=SECOND)
    assert bench.deadline() == SECOND + TIMEOUT


async def test_an_instance_that_the_group_keeps_completes_nothing() -> None:
    bench = Bench(FakeImds(autoscaling__target_lifecycle_state="InService"))
    await bench.lifecycle.complete()
    assert bench.hooks.calls == []


async def test_a_decision_of_the_group_since_the_last_poll_is_seen_before_leaving() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    bench.drain.begin(Notice(NoticeKind.SIGTERM, NOON))
    await bench.lifecycle.complete()
    assert bench.hooks.calls == [COMPLETE]


async def test_a_completion_is_tried_again() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    bench.hooks.errors = [ServiceUnavailable(), LifecycleActionNotFound(), None]
    await bench.lifecycle.complete()
    assert bench.hooks.calls == [COMPLETE] * 3


async def test_a_completion_has_its_own_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "COMPLETION_TIMEOUT", timedelta(seconds=0.05))
    bench = Bench(FakeImds(**TERMINATED))
    bench.drain.begin(Notice(NoticeKind.TERMINATION, NOON - timedelta(hours=1)))
    bench.hooks.errors = [ServiceUnavailable()] * 9999
    await asyncio.wait_for(bench.lifecycle.complete(), 5)
    assert bench.hooks.calls


async def test_a_silent_metadata_service_does_not_keep_the_group_waiting() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    await bench.watch.poll()
    bench.imds.is_up = False
    await bench.lifecycle.complete()
    assert bench.hooks.calls == [COMPLETE]


async def test_an_instance_without_a_hook_leaves_in_silence() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    alone = Lifecycle(None, bench.watch, bench.drain, bench.clock, instance_id=INSTANCE)
    await bench.watch.poll()
    await alone.hold()
    await alone.complete()
    assert bench.hooks.calls == []


async def test_an_instance_that_cannot_work_is_replaced_and_its_hook_completed() -> None:
    bench = Bench(FakeImds(autoscaling__target_lifecycle_state="InService"))
    await bench.lifecycle.ask_for_replacement()
    await bench.lifecycle.complete()
    assert bench.hooks.calls == [UNHEALTHY, COMPLETE]


async def test_an_instance_that_goes_anyway_reports_nothing() -> None:
    bench = Bench(FakeImds(**TERMINATED))
    await bench.watch.poll()
    await bench.lifecycle.ask_for_replacement()
    assert bench.hooks.calls == []


async def test_a_report_that_fails_for_good_does_not_keep_the_instance_from_leaving(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "COMPLETION_TIMEOUT", timedelta(seconds=0.05))
    bench = Bench(FakeImds(autoscaling__target_lifecycle_state="InService"))
    bench.health.is_up = False
    await asyncio.wait_for(bench.lifecycle.ask_for_replacement(), 5)
    assert len(bench.hooks.calls) > 1


async def test_a_group_that_does_not_decide_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "DECISION_TIMEOUT", timedelta(seconds=0.05))
    bench = Bench(FakeImds(autoscaling__target_lifecycle_state="InService"))
    bench.health.imds = FakeImds()
    await asyncio.wait_for(bench.lifecycle.ask_for_replacement(), 5)
    assert bench.hooks.calls == [UNHEALTHY]


def parts_of(bench: Bench, harness: Harness, keeper: RuntimeKeeper | None) -> Parts:
    return Parts(
        identity=Identity(INSTANCE, "1.0.0"),
        environment=SchedulerEnvironment(runtime="sdruntime", port=0),
        health=harness.health,
        drain=bench.drain,
        watch=bench.watch,
        keeper=keeper,
        lifecycle=bench.lifecycle,
        tally=TaskTally("test"),
        executor=harness.executor,
        poller=harness.poller,
        clock=harness.clock,
        app=FastAPI(),
        closing=(),
    )


def noted(name: str, function: Callable[P, R], calls: list[str]) -> Callable[P, R]:
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        calls.append(name)
        return function(*args, **kwargs)

    return call


async def test_the_hook_is_completed_after_the_last_settlement_and_never_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole process: a task is running when the group decides; it ends, is settled, and only then the hook."""
    monkeypatch.setattr("sdfleet_scheduler.interruption_watch.POLL", timedelta(seconds=0.01))
    release = asyncio.Event()

    async def waits(job: Job, on_progress: ProgressCallback) -> Generation:
        bench.imds.values["autoscaling/target-lifecycle-state"] = "Terminated"
        await release.wait()
        return a_generation()

    harness = Harness(ScriptedRuntime(waits))
    bench = Bench(FakeImds(), clock=harness.clock)
    calls = bench.hooks.calls
    harness.drain = bench.drain
    harness.results.publish = noted("notify", harness.results.publish, calls)  # type: ignore[method-assign]
    harness.queue.delete = noted("delete", harness.queue.delete, calls)  # type: ignore[method-assign]
    harness.build()
    harness.submit()
    process = asyncio.create_task(supervise(parts_of(bench, harness, None)))
    await asyncio.wait_for(bench.drain.begun(), 5)
    while HEARTBEAT not in calls:
        await asyncio.sleep(0.01)
    release.set()
    await asyncio.wait_for(process, 10)
    assert calls == [HEARTBEAT, "notify", "delete", COMPLETE]
    assert harness.task().attempt == 1


async def test_an_instance_whose_server_never_comes_back_gives_its_work_back_and_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole process: the keeper gives up while a task is in hand."""
    monkeypatch.setattr("sdfleet_scheduler.interruption_watch.POLL", timedelta(seconds=0.01))
    monkeypatch.setattr("sdfleet_scheduler.runtime_keeper.LOOK", timedelta(seconds=0.01))
    monkeypatch.setattr("sdfleet_scheduler.runtime_keeper.MAX_RESTARTS", 0)
    harness = Harness(ScriptedRuntime(hangs))
    bench = Bench(FakeImds(autoscaling__target_lifecycle_state="InService"), clock=harness.clock)
    calls = bench.hooks.calls
    harness.drain = bench.drain
    harness.queue.extend = noted("give back", harness.queue.extend, calls)  # type: ignore[method-assign]
    harness.build()
    harness.submit()

    async def restart() -> bool:
        return False

    def give_up() -> None:
        # A deadline that has passed: nothing may go on until then.
        bench.drain.begin(Notice(NoticeKind.RUNTIME_HOPELESS, harness.clock.now()))

    keeper = RuntimeKeeper(
        harness.health,
        harness.clock,
        restart,
        is_idle=lambda: False,
        recycling=Recycling(harness.clock, lambda: harness.line.served),
        on_hopeless=give_up,
        restart_after=timedelta(0),
    )
    process = asyncio.create_task(supervise(parts_of(bench, harness, keeper)))
    async with asyncio.timeout(5):
        while not harness.runtime.jobs:
            await asyncio.sleep(0.01)
    harness.runtime.up = False
    harness.health.doubt()
    await asyncio.wait_for(process, 10)
    assert calls[-3:] == ["give back", UNHEALTHY, COMPLETE]
    assert harness.task().status is TaskStatus.QUEUED
