"""The fast scaler on a fleet in memory: the clock moves only while the scaler sleeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders import NOON
from sdfleet.domain.fleet_observation import ManualSetting, ScalerSettings
from sdfleet.domain.rollout import Phase, Rollout, Target, Wish
from sdfleet.domain.rollout_record import RolloutHistory
from sdfleet.domain.scaler_record import InstanceWork
from sdfleet.domain.scaling import Limits
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.rollouts import MemoryRollouts
from sdfleet.memory.scaled_group import MemoryScaledGroup, MemorySchedule
from sdfleet.memory.scaler_store import MemoryScalerStore, MemoryWorkReports
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.memory.topic import MemoryTopic
from sdfleet.ports import GroupState
from sdfleet_lambdas import fleet_scaler
from sdfleet_lambdas.scaled_fleets import ScaledFleet
from sdfleet_lambdas.scaler_services import ScalerServices
from sdfleet_lambdas.wake import ASK_EVERY, FleetWaker

RUNTIME = "sdruntime"
UP_TO_TEN = Limits(0, 10)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
#: 10 s a task and 60 s to boot: six tasks for each instance that is yet to come.
SETTINGS = ScalerSettings(assumed_task=10 * SECOND, assumed_boot=60 * SECOND)


class World:
    """One fleet, and what happens to it while the scaler sleeps."""

    def __init__(self, *, desired: int = 0, limits: Limits = UP_TO_TEN) -> None:
        self.clock = FakeClock(NOON)
        self.group = MemoryScaledGroup(limits=limits, desired=desired)
        self.queue = MemoryTaskQueue(self.clock)
        self.store = MemoryScalerStore()
        self.reports = MemoryWorkReports()
        self.rollouts = MemoryRollouts()
        self.schedule = MemorySchedule()
        self.topic = MemoryTopic()
        #: Called after each sleep with the seconds since noon.
        self.meanwhile: Callable[[float], None] = lambda _: None
        self.settings = SETTINGS
        self._invocations = 0

    @property
    def at(self) -> float:
        """Seconds since noon."""
        return (self.clock.now() - NOON).total_seconds()

    def services(self, group: MemoryScaledGroup | None = None) -> ScalerServices:
        fleet = ScaledFleet(
            runtime=RUNTIME,
            name=f"sdfleet-{RUNTIME}",
            group=group or self.group,
            queue=self.queue,
            store=self.store,
            reports=self.reports,
            rollouts=self.rollouts,
            settings=self.settings,
            clock=self.clock,
        )
        return ScalerServices((fleet,), self.schedule, self.clock, self._sleep, self._new_id)

    def run(self) -> dict[str, str]:
        return fleet_scaler.handle({}, self.services())

    def minutes(self, count: int) -> None:
        """The schedule, while it is on."""
        for _ in range(count):
            if self.schedule.is_on:
                started = self.clock.now()
                self.run()
                self.clock.advance(max(timedelta(0), MINUTE - (self.clock.now() - started)))

    def waker(self) -> FleetWaker:
        return FleetWaker(self.store, self.topic, self.clock)

    def submit(self, count: int = 1) -> None:
        for _ in range(count):
            self.queue.send("task")

    def serve(self, *instance_ids: str, idle_since: datetime | None = None) -> None:
        """They are in service; `idle_since` None: with a task in hand."""
        for one in instance_ids:
            self.group.launch(one, in_service=True)
            self.reports.report(InstanceWork(one, self.clock.now(), idle_since))

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.meanwhile(self.at)

    def _new_id(self) -> str:
        self._invocations += 1
        return f"invocation-{self._invocations}"


def test_a_task_for_a_fleet_at_zero_asks_for_an_instance_at_the_first_look() -> None:
    world = World()
    world.submit()
    world.meanwhile = lambda at: world.group.launch("i-1") if at >= 5 else None
    world.run()
    assert world.group.asked == [1]
    assert world.schedule.is_on


def test_a_call_counts_before_the_queue_shows_the_task() -> None:
    world = World()
    assert world.store.wake(RUNTIME, now=NOON)
    world.run()
    assert world.group.asked == [1]


def test_the_queue_grows_and_the_capacity_follows_within_one_look() -> None:
    world = World(desired=1)
    world.serve("i-1")
    world.submit(6)
    asked_at: list[float] = []

    def rush(at: float) -> None:
        if at == 20:
            world.submit(30)
        if world.group.asked and not asked_at:
            asked_at.append(at)

    world.meanwhile = rush
    world.run()
    # 360 s of work, of which the one in service does 120 s: four more at 60 s each. Seen at the look after the rush.
    assert world.group.asked[0] == 5
    assert 20 <= asked_at[0] <= 25


def test_an_invocation_stays_a_minute_and_looks_every_five_seconds() -> None:
    world = World(desired=1, limits=Limits(0, 1))
    world.serve("i-1")
    world.submit(3)
    looks: list[float] = []
    world.meanwhile = looks.append
    assert world.run() == {RUNTIME: "awake"}
    assert looks == [5.0 * number for number in range(1, 14)]


def test_the_newest_invocation_takes_over_and_the_former_leaves() -> None:
    world = World(desired=1, limits=Limits(0, 1))
    world.serve("i-1")
    world.submit(3)
    nested: list[dict[str, str]] = []

    def call_again(at: float) -> None:
        if at == 30:
            services = world.services()
            nested.append(fleet_scaler.handle({}, replace(services, sleep=lambda s: world.clock.advance(s * SECOND))))

    world.meanwhile = call_again
    assert world.run() == {RUNTIME: "taken"}
    assert nested == [{RUNTIME: "awake"}]


def test_an_empty_fleet_at_its_minimum_falls_asleep_a_minute_after_the_first_look() -> None:
    world = World()
    world.schedule.is_on = True
    world.minutes(1)
    assert world.schedule.is_on
    world.minutes(1)
    assert not world.schedule.is_on


def test_nothing_is_looked_at_while_it_sleeps_until_a_task_wakes_it() -> None:
    world = World()
    world.schedule.is_on = True
    world.minutes(5)
    assert world.at < 180
    world.clock.advance(timedelta(hours=8))
    world.waker().wake(RUNTIME)
    assert [one.body for one in world.topic.published] == [RUNTIME]
    world.run()
    assert world.schedule.is_on
    assert world.group.asked == [1]


def test_a_task_wakes_a_scaler_that_rests_and_it_goes_on() -> None:
    world = World()
    world.schedule.is_on = True
    world.minutes(1)
    world.waker().wake(RUNTIME)
    world.minutes(1)
    assert world.schedule.is_on
    assert world.group.asked == [1]


def a_fleet_at_rest() -> World:
    """Two instances wait for the end of their idle times."""
    world = World(desired=2)
    world.serve("i-1", "i-2", idle_since=NOON - 30 * SECOND)
    assert world.run() == {RUNTIME: "awake"}
    assert world.at == 0
    return world


def test_a_crowd_that_comes_while_idle_instances_wait_to_go_is_seen_at_once() -> None:
    world = a_fleet_at_rest()
    world.clock.advance(3 * SECOND)
    world.submit(60)
    world.waker().wake(RUNTIME)
    assert len(world.topic.published) == 1
    world.run()
    # 600 s of work, of which two in service do 240 s: six more at 60 s each, at the first look.
    assert world.group.asked[0] == 8


def test_a_call_at_rest_keeps_the_scaler_looking_for_a_minute_and_is_no_second_call() -> None:
    world = a_fleet_at_rest()
    waker, other = world.waker(), world.waker()
    waker.wake(RUNTIME)
    other.wake(RUNTIME)
    looks: list[float] = []

    def hand_in(at: float) -> None:
        looks.append(at)
        if at < 60:
            waker.wake(RUNTIME)
            other.wake(RUNTIME)

    world.meanwhile = hand_in
    world.run()
    assert looks == [5.0 * number for number in range(1, 13)]
    assert len(world.topic.published) == 1


def test_of_two_invocations_at_a_call_the_newest_decides_alone() -> None:
    world = a_fleet_at_rest()
    world.submit(60)
    world.waker().wake(RUNTIME)
    nested: list[dict[str, str]] = []

    def call_again(at: float) -> None:
        if not nested:
            services = world.services()
            nested.append(fleet_scaler.handle({}, replace(services, sleep=lambda s: world.clock.advance(s * SECOND))))

    world.meanwhile = call_again
    assert world.run() == {RUNTIME: "taken"}
    assert nested == [{RUNTIME: "awake"}]
    assert world.store.load(RUNTIME).holder == "invocation-3"


def test_an_operators_number_is_not_looked_at_again_for_every_task() -> None:
    world = World(desired=2)
    world.serve("i-1", "i-2")
    world.store.save(RUNTIME, replace(world.store.load(RUNTIME), manual=ManualSetting(2, NOON + 60 * MINUTE)))
    world.submit(100)
    world.run()
    world.waker().wake(RUNTIME)
    assert world.topic.published == []


def test_only_the_first_of_many_tasks_wakes() -> None:
    world = World()
    waker, other = world.waker(), world.waker()
    for _ in range(5):
        waker.wake(RUNTIME)
        other.wake(RUNTIME)
    assert len(world.topic.published) == 1


def test_a_wake_that_did_not_go_out_is_tried_again_with_the_next_task() -> None:
    world = World()
    failing = FailingTopic(world.topic)
    waker = FleetWaker(world.store, failing, world.clock)
    waker.wake(RUNTIME)
    assert world.topic.published == []
    # The mark is made; it lasts as long as somebody who was called would need.
    failing.is_up = True
    world.clock.advance(MINUTE + ASK_EVERY)
    waker.wake(RUNTIME)
    assert len(world.topic.published) == 1


@dataclass
class FailingTopic:
    topic: MemoryTopic
    is_up: bool = False

    def publish(self, body: str, attributes: Any, *, group: str | None = None) -> None:
        if not self.is_up:
            raise ServiceUnavailable
        self.topic.publish(body, attributes, group=group)


def test_idle_instances_leave_by_name_and_busy_ones_stay() -> None:
    world = World(desired=3)
    world.serve("i-busy")
    world.serve("i-idle", "i-late", idle_since=NOON - 2 * MINUTE)
    world.reports.report(InstanceWork("i-late", NOON, NOON))
    world.submit()
    world.queue.receive(max_messages=1, wait=timedelta(0), visibility=timedelta(hours=1))

    def report(_at: float) -> None:
        world.reports.report(InstanceWork("i-busy", world.clock.now()))
        world.reports.report(InstanceWork("i-late", world.clock.now(), NOON))

    world.meanwhile = report
    world.run()
    assert world.group.removed == ["i-idle", "i-late"]
    assert [one.instance_id for one in world.group.state.instances] == ["i-busy"]


def test_what_a_rush_has_left_goes_under_steady_load_an_invocation_later() -> None:
    world = World(desired=10)
    world.schedule.is_on = True
    everyone = [f"i-{number}" for number in range(10)]
    for one in everyone:
        world.group.launch(one, in_service=True)
    world.submit(10)
    in_hand = world.queue.receive(max_messages=10, wait=timedelta(0), visibility=timedelta(hours=1))

    def take_turns(at: float) -> None:
        """The rush ends after half a minute; then four have a task in hand, each time others."""
        if at == 30:
            for message in in_hand[4:]:
                world.queue.delete(message.receipt)
        now = world.clock.now()
        for number, one in enumerate(everyone):
            is_busy = at < 30 or (number + at // 5) % 10 < 4
            world.reports.report(InstanceWork(one, now, None if is_busy else now - 6 * SECOND, task_s=10.0))

    take_turns(0)
    world.meanwhile = take_turns
    world.minutes(1)
    surplus = world.store.load(RUNTIME).surplus
    assert surplus is not None
    assert surplus.since == NOON + 30 * SECOND
    assert world.group.removed == []
    world.minutes(2)
    # Four at work, and one to spare.
    assert world.group.state.desired == 5
    assert len(world.group.removed) == 5


def test_an_instance_that_has_not_spoken_for_minutes_is_taken_for_busy() -> None:
    world = World(desired=1)
    world.group.launch("i-1", in_service=True)
    world.reports.report(InstanceWork("i-1", NOON - timedelta(minutes=4), NOON - timedelta(hours=1)))
    world.run()
    assert world.group.removed == []


def test_a_whole_night_from_wake_to_sleep() -> None:
    world = World()
    world.submit()
    world.store.wake(RUNTIME, now=NOON)
    world.schedule.is_on = True

    def life(at: float) -> None:
        if at == 5:
            world.group.launch("i-1")
        if at == 40:
            world.serve("i-1")
            (message,) = world.queue.receive(max_messages=1, wait=timedelta(0), visibility=MINUTE)
            world.queue.delete(message.receipt)

    world.meanwhile = life
    world.minutes(1)
    for _ in range(9):
        if world.group.state.instances:
            world.reports.report(InstanceWork("i-1", world.clock.now(), NOON + 40 * SECOND))
        world.minutes(1)
    assert world.group.removed == ["i-1"]
    assert world.group.state.desired == 0
    assert not world.schedule.is_on
    # The boot was measured: from the first sight of it at 5 s to 40 s.
    assert world.store.load(RUNTIME).boot_s == pytest.approx(35)


def test_measured_task_times_decide() -> None:
    world = World(limits=Limits(0, 100), desired=1)
    world.group.launch("i-1", in_service=True)
    world.reports.report(InstanceWork("i-1", NOON, None, task_s=1.0))
    world.submit(240)
    world.run()
    # 240 s of work; one in service does 120 s of it in time, two more the rest.
    assert world.group.asked[0] == 3


def test_three_deaths_at_boot_stop_the_launches_and_the_dying_lose_their_places() -> None:
    world = World(limits=Limits(0, 5))
    world.submit(30)
    deaths: list[float] = []

    def die(at: float) -> None:
        # Auto Scaling replaces who dies, as long as there is a place.
        for one in world.group.state.instances:
            world.group.lose(one.instance_id)
            deaths.append(at)
        if world.group.state.desired:
            world.group.launch(f"i-{at:.0f}")

    world.meanwhile = die
    world.schedule.is_on = True
    world.minutes(9)
    assert len(deaths) <= 4
    assert world.group.state.desired <= 4
    assert world.store.load(RUNTIME).reason == "boot_failures"


def test_who_was_in_service_between_two_looks_did_not_die_at_boot() -> None:
    world = World(limits=Limits(0, 5))
    world.submit(30)

    def interrupt(at: float) -> None:
        for one in world.group.state.instances:
            world.reports.report(InstanceWork(one.instance_id, world.clock.now()))
            world.group.lose(one.instance_id)
        world.group.launch(f"i-{at:.0f}")

    world.meanwhile = interrupt
    world.run()
    assert world.store.load(RUNTIME).failures is None


def test_another_release_starts_with_a_clean_record() -> None:
    world = World(limits=Limits(0, 5))
    world.submit(30)
    world.meanwhile = lambda at: _die(world, at)
    world.schedule.is_on = True
    world.minutes(3)
    world.meanwhile = lambda _: None
    world.group.state = replace(world.group.state, template_version="2")
    asked = len(world.group.asked)
    world.minutes(1)
    assert len(world.group.asked) > asked


def _die(world: World, at: float) -> None:
    for one in world.group.state.instances:
        world.group.lose(one.instance_id)
    if world.group.state.desired:
        world.group.launch(f"i-{at:.0f}")


@pytest.mark.parametrize(("phase", "asked"), [(Phase.CANARY_BAKING, []), (Phase.ROLLING, [6]), (Phase.SUCCEEDED, [6])])
def test_a_canary_on_trial_keeps_the_fleet_as_it_is(phase: Phase, asked: list[int]) -> None:
    world = World(desired=2)
    world.serve("i-1", "i-2")
    world.submit(48)
    rollout = Rollout(
        id="r", runtime=RUNTIME, former=Target("1.0.0", "1"), target=Target("2.0.0", "2"),
        wish=Wish(20, MINUTE), started_at=NOON, phase=phase,
    )  # fmt: skip
    world.rollouts.save(RUNTIME, RolloutHistory(rollout))
    world.run()
    assert world.group.asked == asked


def test_an_operators_hours_end_with_the_alarms_on_again() -> None:
    world = World(desired=2)
    world.serve("i-1", "i-2", idle_since=NOON - timedelta(hours=1))
    world.group.suspend_alarms()
    record = world.store.load(RUNTIME)
    world.store.save(RUNTIME, replace(record, manual=ManualSetting(2, NOON + MINUTE)))
    world.schedule.is_on = True
    world.minutes(1)
    assert (world.group.removed, world.group.state.is_suspended) == ([], True)
    world.serve("i-1", "i-2", idle_since=NOON - timedelta(hours=1))
    world.minutes(1)
    assert world.group.state.is_suspended is False
    assert world.group.removed == ["i-1", "i-2"]
    assert world.store.load(RUNTIME).manual is None


def test_a_group_that_somebody_suspended_by_aws_own_means_stays_as_it_is() -> None:
    world = World(desired=1)
    world.serve("i-1")
    world.group.suspend_alarms()
    world.submit(100)
    world.run()
    assert world.group.asked == []


def test_on_demand_comes_when_spot_does_not_and_spot_comes_back() -> None:
    world = World()
    world.submit(12)
    world.schedule.is_on = True
    world.minutes(4)
    assert world.group.state.on_demand_base == 0
    world.minutes(2)
    assert world.group.state.on_demand_base == 2
    world.serve("i-1", "i-2")
    world.minutes(31)
    assert world.group.state.on_demand_base == 0


def test_a_base_that_somebody_else_has_set_meanwhile_stays() -> None:
    world = World()
    world.submit(12)
    world.schedule.is_on = True
    world.minutes(6)
    world.group.set_on_demand_base(5)
    world.serve("i-1", "i-2")
    world.minutes(32)
    assert world.group.state.on_demand_base == 5
    assert world.store.load(RUNTIME).fallback is None


@dataclass
class Unreachable(MemoryScaledGroup):
    """A group that cannot be seen for a while."""

    looks: int = 3
    _seen: int = field(default=0)

    def __post_init__(self) -> None:
        super().__init__(limits=Limits(0, 10))

    def look(self) -> GroupState:
        self._seen += 1
        if self._seen <= self.looks:
            raise ServiceUnavailable
        return super().look()


def test_a_fleet_that_cannot_be_seen_is_looked_at_again() -> None:
    world = World()
    world.submit()
    group = Unreachable()
    fleet_scaler.handle({}, world.services(group))
    assert group.asked == [1]


def test_work_is_told_as_metrics_at_a_seconds_resolution_and_silence_as_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = World(desired=2, limits=Limits(0, 2))
    world.run()
    assert "BacklogPerInstance" not in capsys.readouterr().out
    world.serve("i-1", "i-2")
    world.submit(8)
    world.run()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    first = next(line for line in lines if "BacklogPerInstance" in line)
    assert (first["BacklogPerInstance"], first["QueuedSeconds"], first["Fleet"]) == (4.0, 80.0, "sdfleet-sdruntime")
    metrics = first["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    assert {one["StorageResolution"] for one in metrics} == {1}
