"""The fast scaler on a fleet in memory: the clock moves only while the scaler sleeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from builders import NOON
from scaler_world import MINUTE, RUNTIME, SECOND, World
from sdfleet.domain.fleet_observation import ManualSetting
from sdfleet.domain.scaling import Limits
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.topic import MemoryTopic
from sdfleet_lambdas import fleet_scaler
from sdfleet_lambdas.wake import ASK_EVERY, FleetWaker


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
