from __future__ import annotations

from datetime import timedelta

from builders import NOON
from sdfleet.domain.scaler_record import InstanceWork
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.scaler_store import MemoryWorkReports
from sdfleet_scheduler.pace import Pace
from sdfleet_scheduler.work_reports import WorkReporter

SECOND = timedelta(seconds=1)


class Instance:
    def __init__(self) -> None:
        self.clock = FakeClock(NOON)
        self.reports = CountingReports()
        self.is_ready = True
        self.in_hand = 0
        self.served = 0
        self.pace = Pace()
        self.reporter = WorkReporter(
            self.reports,
            self.clock,
            instance_id="i-1",
            is_ready=lambda: self.is_ready,
            in_hand=lambda: self.in_hand,
            served=lambda: self.served,
            task_time=lambda: self.pace.task_time,
        )

    async def look(self, *, after: timedelta = timedelta(0)) -> InstanceWork | None:
        """The last report there is."""
        self.clock.advance(after)
        await self.reporter.look()
        return self.reports.read(["i-1"]).get("i-1")


class CountingReports(MemoryWorkReports):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.is_up = True

    def report(self, work: InstanceWork) -> None:
        if not self.is_up:
            raise ServiceUnavailable
        self.count += 1
        super().report(work)


async def test_an_instance_that_boots_says_nothing() -> None:
    instance = Instance()
    instance.is_ready = False
    assert await instance.look() is None


async def test_who_is_ready_and_has_nothing_in_hand_is_idle_from_then_on() -> None:
    assert await Instance().look() == InstanceWork("i-1", NOON, idle_since=NOON)


async def test_a_task_in_hand_is_told_at_once_and_its_end_when_nothing_follows() -> None:
    instance = Instance()
    await instance.look()
    instance.in_hand = 1
    assert (work := await instance.look(after=2 * SECOND)) is not None
    assert work.idle_since is None
    instance.in_hand = 0
    assert (work := await instance.look(after=2 * SECOND)) is not None
    assert work.idle_since is None
    assert (work := await instance.look(after=5 * SECOND)) is not None
    assert work.idle_since == NOON + 4 * SECOND


async def test_a_task_that_came_and_went_between_two_looks_was_work() -> None:
    instance = Instance()
    await instance.look()
    instance.served = 1
    assert (work := await instance.look(after=2 * SECOND)) is not None
    assert work.idle_since is None


async def test_the_pauses_between_tasks_are_not_told() -> None:
    instance = Instance()
    instance.in_hand = 1
    await instance.look()
    for number in range(20):
        instance.in_hand = number % 2
        await instance.look(after=2 * SECOND)
    assert instance.reports.count == 1


async def test_what_has_not_changed_is_said_once_a_minute() -> None:
    instance = Instance()
    for _ in range(60):
        await instance.look(after=2 * SECOND)
    assert instance.reports.count == 2


async def test_a_report_that_did_not_get_through_is_made_again() -> None:
    instance = Instance()
    instance.reports.is_up = False
    assert await instance.look() is None
    instance.reports.is_up = True
    assert await instance.look(after=2 * SECOND) is not None


async def test_the_mean_of_the_last_tasks_is_told_with_it() -> None:
    instance = Instance()
    instance.pace.generated("text-to-image", 2 * SECOND)
    instance.pace.generated("image-to-image", 4 * SECOND)
    assert (work := await instance.look()) is not None
    assert work.task_s == 3.0


async def test_tasks_that_take_longer_than_was_told_are_news() -> None:
    instance = Instance()
    instance.pace.generated("text-to-image", SECOND)
    instance.in_hand = 1
    await instance.look()
    instance.pace.generated("text-to-image", 9 * SECOND)
    assert (work := await instance.look(after=8 * SECOND)) is not None
    assert work.task_s == 1.0, "the mean still moves"
    assert (work := await instance.look(after=2 * SECOND)) is not None
    assert work.task_s == 5.0


async def test_a_pace_that_is_nearly_the_same_is_no_news() -> None:
    instance = Instance()
    instance.in_hand = 1
    instance.pace.generated("text-to-image", 2 * SECOND)
    await instance.look()
    for seconds in (1.5, 2.5, 2.0):
        instance.pace.generated("text-to-image", seconds * SECOND)
        await instance.look(after=11 * SECOND)
    assert instance.reports.count == 1


async def test_the_first_task_time_is_news() -> None:
    instance = Instance()
    instance.in_hand = 1
    await instance.look()
    instance.pace.generated("text-to-image", 2 * SECOND)
    assert (work := await instance.look(after=10 * SECOND)) is not None
    assert work.task_s == 2.0
