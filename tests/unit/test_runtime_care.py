"""What becomes of a runtime that fails: the breaker, the keeper."""

from __future__ import annotations

import sys
from datetime import timedelta

from behaviours import fails_permanently, fails_transiently
from scheduler_harness import Harness, ScriptedRuntime, succeeds
from sdfleet.domain.task import TaskStatus
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.circuit_breaker import FIRST_PAUSE, TRIPS_AT, CircuitBreaker
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


class KeptRuntime:
    """A keeper over a harness; counts the restarts and the last resort."""

    def __init__(self, *, is_up: bool, recycle_after: int | None = None) -> None:
        self.clock = FakeClock()
        self.runtime = ScriptedRuntime()
        self.runtime.up = is_up
        self.harness = Harness(self.runtime, clock=self.clock)
        self.restarts = 0
        self.gave_up = 0
        self.keeper = RuntimeKeeper(
            self.harness.health,
            self.harness.line,
            self.clock,
            self._restart,
            recycle_after=recycle_after,
            on_hopeless=self._give_up,
        )

    async def _restart(self) -> bool:
        self.restarts += 1
        return True

    def _give_up(self) -> None:
        self.gave_up += 1

    async def pass_time(self, by: timedelta) -> None:
        self.clock.advance(by)
        self.harness.health._set(is_ready=self.runtime.up)
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


async def test_a_server_is_recycled_after_its_tasks_while_it_is_idle() -> None:
    kept = KeptRuntime(is_up=True, recycle_after=2)
    for number in range(2):
        kept.harness.submit(id=f"t-{number}")
        await kept.harness.run_next()
    await kept.pass_time(timedelta(seconds=1))
    assert kept.restarts == 1
    await kept.pass_time(timedelta(seconds=1))
    assert kept.restarts == 1


async def test_the_restart_command_tells_whether_it_went_well() -> None:
    assert await shell_free_command(f"{sys.executable} -c pass")()
    assert not await shell_free_command(f"{sys.executable} -c 'raise SystemExit(3)'")()
