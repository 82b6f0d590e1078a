"""What becomes of a runtime that fails: the breaker, the keeper."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from behaviours import fails_permanently, fails_transiently
from scheduler_harness import Harness, ScriptedRuntime, succeeds
from sdfleet.domain.task import TaskStatus
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.circuit_breaker import FIRST_PAUSE, TRIPS_AT, CircuitBreaker
from sdfleet_scheduler.recycling import LEAST_LIFE, MIB, WEIGH_EVERY, Recycling
from sdfleet_scheduler.runtime_keeper import MAX_RESTARTS, RESTART_AFTER, RuntimeKeeper, shell_free_command


def a_tripped_breaker(clock: FakeClock) -> CircuitBreaker:
    breaker = CircuitBreaker(clock)
    for _ in range(TRIPS_AT):
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_the_breaker() -> None:
    assert a_tripped_breaker(FakeClock()).is_open


def test_one_success_between_keeps_it_closed() -> None:
    breaker = CircuitBreaker(FakeClock())
    for _ in range(TRIPS_AT * 2):
        breaker.failed()
        breaker.succeeded()
    assert not breaker.is_open


def test_after_the_pause_one_task_decides_and_the_next_pause_is_longer() -> None:
    clock = FakeClock()
    breaker = a_tripped_breaker(clock)
    states = []
    for step in range(3):
        clock.advance(FIRST_PAUSE)
        states.append(breaker.is_open)
        if step == 0:
            breaker.failed()
    assert states == [False, True, False]


async def test_an_instance_that_fails_everything_goes_unready() -> None:
    harness = Harness(ScriptedRuntime(fails_transiently))
    for number in range(TRIPS_AT):
        harness.submit(id=f"t-{number}")
        await harness.run_next()
    assert not harness.health.is_ready


async def test_bad_requests_are_no_sign_of_a_bad_instance() -> None:
    harness = Harness(ScriptedRuntime(fails_permanently))
    for number in range(TRIPS_AT * 2):
        harness.submit(id=f"t-{number}")
        await harness.run_next()
    assert harness.health.is_ready


async def test_a_success_forgives_the_failures_before_it() -> None:
    harness = Harness(ScriptedRuntime(fails_transiently, fails_transiently, succeeds, fails_transiently))
    for number in range(4):
        harness.submit(id=f"t-{number}")
        await harness.run_next()
    assert harness.health.is_ready
    assert harness.task("t-2").status is TaskStatus.SUCCEEDED


class Served(ScriptedRuntime):
    """A runtime whose server tells what it takes, and whether it is broken."""

    needs_restart = False
    used_mib: int | None = 100

    async def memory_used(self) -> int | None:
        return None if self.used_mib is None else self.used_mib * MIB


class KeptRuntime:
    """A keeper over a harness; counts the restarts and the last resort."""

    def __init__(self, *, is_up: bool, recycle_after: int | None = None, recycle_above_mib: int | None = None) -> None:
        self.clock = FakeClock()
        self.runtime = Served()
        self.runtime.up = is_up
        self.harness = Harness(self.runtime, clock=self.clock)
        self.restarts = 0
        self.gave_up = 0
        self.is_idle = True
        self.keeper = RuntimeKeeper(
            self.harness.health,
            self.clock,
            self._restart,
            is_idle=lambda: self.is_idle,
            recycling=Recycling(
                self.clock,
                lambda: self.harness.line.served,
                after_tasks=recycle_after,
                above_mib=recycle_above_mib,
                memory=self.runtime.memory_used,
            ),
            on_hopeless=self._give_up,
        )

    async def _restart(self) -> bool:
        self.restarts += 1
        return True

    def _give_up(self) -> None:
        self.gave_up += 1

    async def work(self, tasks: int) -> None:
        for number in range(tasks):
            self.harness.submit(id=f"t-{self.harness.line.served}-{number}")
            await self.harness.run_next()

    async def pass_time(self, by: timedelta = timedelta(seconds=1)) -> None:
        self.clock.advance(by)
        health = self.harness.health
        health._set(is_ready=self.runtime.up and not health.is_withheld)
        await self.keeper.look()


async def test_a_server_that_does_not_come_back_is_restarted() -> None:
    kept = KeptRuntime(is_up=False)
    await kept.pass_time(RESTART_AFTER - timedelta(seconds=1))
    assert kept.restarts == 0
    await kept.pass_time(timedelta(seconds=1))
    assert kept.restarts == 1


async def test_a_restarted_server_has_its_time_anew() -> None:
    kept = KeptRuntime(is_up=False)
    await kept.pass_time(RESTART_AFTER)
    await kept.pass_time(timedelta(seconds=1))
    assert kept.restarts == 1


async def test_a_server_that_never_comes_back_is_the_machines_fault() -> None:
    kept = KeptRuntime(is_up=False)
    for _ in range(MAX_RESTARTS + 1):
        await kept.pass_time(RESTART_AFTER)
    assert (kept.restarts, kept.gave_up) == (MAX_RESTARTS, 1)


async def test_a_server_that_came_back_begins_with_a_clean_slate() -> None:
    kept = KeptRuntime(is_up=False)
    await kept.pass_time(RESTART_AFTER)
    kept.runtime.up = True
    await kept.pass_time(timedelta(seconds=1))
    kept.runtime.up = False
    for _ in range(MAX_RESTARTS):
        await kept.pass_time(RESTART_AFTER)
    assert kept.gave_up == 0


async def test_a_server_that_is_known_to_be_broken_is_restarted_at_once_and_then_has_its_time() -> None:
    kept = KeptRuntime(is_up=False)
    kept.runtime.needs_restart = True
    await kept.pass_time()
    assert kept.restarts == 1
    await kept.pass_time()
    assert kept.restarts == 1
    await kept.pass_time(RESTART_AFTER)
    assert kept.restarts == 2


async def test_who_gave_up_does_nothing_more() -> None:
    kept = KeptRuntime(is_up=False)
    for _ in range(MAX_RESTARTS + 3):
        await kept.pass_time(RESTART_AFTER)
    assert (kept.restarts, kept.gave_up, kept.keeper.is_hopeless) == (MAX_RESTARTS, 1, True)


async def test_a_server_is_recycled_after_its_tasks() -> None:
    kept = KeptRuntime(is_up=True, recycle_after=2)
    await kept.work(2)
    for _ in range(3):
        await kept.pass_time()
    assert kept.restarts == 1


async def test_under_a_steady_load_nothing_is_received_until_the_server_has_begun_anew() -> None:
    kept = KeptRuntime(is_up=True, recycle_after=2)
    await kept.work(2)
    kept.is_idle = False
    for _ in range(3):
        await kept.pass_time()
    assert (kept.restarts, kept.harness.health.is_ready) == (0, False)
    kept.is_idle = True
    await kept.pass_time()
    assert kept.restarts == 1
    await kept.pass_time()
    assert kept.harness.health.is_ready


async def test_a_long_task_before_a_recycling_is_no_outage() -> None:
    kept = KeptRuntime(is_up=True, recycle_after=1)
    await kept.work(1)
    await kept.pass_time()
    kept.is_idle = False
    for _ in range(MAX_RESTARTS + 2):
        await kept.pass_time(RESTART_AFTER)
    assert (kept.restarts, kept.gave_up) == (0, 0)


async def test_a_server_that_has_grown_is_recycled() -> None:
    kept = KeptRuntime(is_up=True, recycle_above_mib=500)
    kept.clock.advance(LEAST_LIFE)
    await kept.work(1)
    await kept.pass_time(WEIGH_EVERY)
    assert kept.restarts == 0
    kept.runtime.used_mib = 501
    await kept.pass_time(WEIGH_EVERY)
    await kept.pass_time()
    assert kept.restarts == 1


async def test_a_limit_below_what_the_server_needs_does_not_restart_it_for_ever() -> None:
    kept = KeptRuntime(is_up=True, recycle_above_mib=500)
    kept.runtime.used_mib = 501
    for _ in range(3):
        await kept.work(1)
        await kept.pass_time(WEIGH_EVERY)
        await kept.pass_time()
    assert kept.restarts == 0


async def test_a_server_that_does_not_say_what_it_takes_is_left_alone() -> None:
    kept = KeptRuntime(is_up=True, recycle_above_mib=500)
    kept.clock.advance(LEAST_LIFE)
    kept.runtime.used_mib = None
    await kept.work(1)
    await kept.pass_time(WEIGH_EVERY)
    await kept.pass_time()
    assert kept.restarts == 0


async def test_an_idle_server_that_has_done_nothing_is_not_weighed() -> None:
    kept = KeptRuntime(is_up=True, recycle_above_mib=500)
    kept.runtime.used_mib = 501
    await kept.pass_time(LEAST_LIFE)
    await kept.pass_time()
    assert kept.restarts == 0


async def test_what_is_withheld_from_a_server_is_not_its_fault() -> None:
    kept = KeptRuntime(is_up=True)
    kept.harness.health._has_its_files = lambda: False
    for _ in range(MAX_RESTARTS + 2):
        await kept.pass_time(RESTART_AFTER)
    assert (kept.restarts, kept.gave_up) == (0, 0)


async def test_a_server_without_its_files_is_not_ready_however_well_it_answers() -> None:
    harness = Harness(ScriptedRuntime())
    files: list[str] = []
    harness.health._has_its_files = lambda: bool(files)
    watching = asyncio.create_task(harness.health.watch())
    await asyncio.sleep(0.05)
    assert not harness.health.is_ready
    files.append("ESRGAN/4x.pth")
    async with asyncio.timeout(5):
        await harness.health.ready()
    watching.cancel()


async def test_a_doubt_during_a_probe_outweighs_its_answer() -> None:
    harness = Harness(ScriptedRuntime())
    answers = 0

    async def is_ready() -> bool:
        nonlocal answers
        answers += 1
        if answers == 1:
            harness.health.doubt()
            assert not harness.health.is_ready
        elif answers == 2:
            assert not harness.health.is_ready
        return True

    harness.runtime.is_ready = is_ready  # type: ignore[method-assign]
    watching = asyncio.create_task(harness.health.watch())
    async with asyncio.timeout(5):
        await harness.health.ready()
    watching.cancel()
    assert answers == 2


async def test_the_restart_command_tells_whether_it_went_well() -> None:
    assert await shell_free_command(f"{sys.executable} -c pass")()
    assert not await shell_free_command(f"{sys.executable} -c 'raise SystemExit(3)'")()
