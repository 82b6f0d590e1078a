"""What the fast scaler does about a fleet, from what it sees of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from builders import NOON
from scaler_world import MINUTE, RUNTIME, SECOND, World
from sdfleet.domain.fleet_observation import ManualSetting
from sdfleet.domain.rollout import Phase, Rollout, Target, Wish
from sdfleet.domain.rollout_record import RolloutHistory
from sdfleet.domain.scaler_record import InstanceWork
from sdfleet.domain.scaling import Limits
from sdfleet.errors import ServiceUnavailable
from sdfleet.fleet_ports import GroupState
from sdfleet.memory.scaled_group import MemoryScaledGroup
from sdfleet_lambdas import fleet_scaler


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
