from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from local_group_bench import SECOND, Bench
from refresh_bench import ROLLING, RefreshBench
from sdfleet.errors import LocalModeError
from sdfleet_local.member import SPOT_NOTICE
from sdfleet_local.refresh_run import PATIENCE


def test_an_instance_is_in_service_once_it_is_ready() -> None:
    bench = Bench(2)
    bench.tick()
    assert bench.states() == ["Pending", "Pending"]
    bench.in_service()
    assert bench.states() == ["InService", "InService"]
    assert bench.group.is_at_capacity


def test_a_dead_instance_is_replaced_at_once() -> None:
    bench = Bench(1)
    dead = bench.in_service()[0]
    dead.is_running = False
    bench.tick()
    assert dead.signals == ["closed"]
    assert bench.states() == ["Pending"]
    assert bench.launcher.launched[-1] is not dead


def test_instances_that_die_at_boot_come_more_and_more_slowly() -> None:
    bench = Bench(1)
    launches = []
    for second in range(60):
        if bench.launcher.launched:
            bench.launcher.launched[-1].is_running = False
        before = len(bench.launcher.launched)
        bench.tick(SECOND)
        if len(bench.launcher.launched) > before:
            launches.append(second)
    pauses = [later - earlier for earlier, later in itertools.pairwise(launches)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 1
    assert pauses[-1] >= 8
    assert bench.group.deaths_at_boot == len(launches)
    assert bench.group.last_words == "it hurts"


def test_a_refresh_that_fails_quotes_what_died_in_it_and_nothing_older() -> None:
    with_a_way_back = replace(ROLLING, auto_rollback=True)
    bench = RefreshBench(3)
    bench.launcher.broken.add("1.1.0")
    bench.start(with_a_way_back)
    bench.settle()
    bench.pass_by(PATIENCE)
    assert "it hurts" in bench.refresh.reason
    bench.settle(20)

    bench.sound.discard("1.2.0")
    bench.start(with_a_way_back, version="3")
    bench.settle()
    bench.pass_by(PATIENCE)
    assert bench.refresh.reason == "New instances did not come into service; 3 are missing."


def test_an_instance_in_service_ends_the_slowness() -> None:
    bench = Bench(1)
    bench.tick()
    bench.launcher.launched[-1].is_running = False
    bench.tick()
    bench.in_service()
    assert bench.group.deaths_at_boot == 0


def test_a_spot_notice_names_the_end_in_two_minutes_and_starts_a_replacement() -> None:
    bench = Bench(1)
    victim = bench.in_service()[0]
    ends_at = bench.group.interrupt(victim.instance_id)
    assert ends_at == bench.clock.now() + SPOT_NOTICE
    assert victim.metadata.interruption_at == ends_at
    bench.tick()
    assert bench.states() == ["InService", "Pending"]
    assert victim.signals == []


def test_a_second_notice_changes_nothing() -> None:
    bench = Bench(1)
    victim = bench.in_service()[0]
    first = bench.group.interrupt(victim.instance_id)
    bench.tick(10 * SECOND)
    assert bench.group.interrupt(victim.instance_id) == first


def test_the_group_lets_an_interrupted_instance_go_when_its_replacement_is_in_service() -> None:
    bench = Bench(1)
    victim = bench.in_service()[0]
    bench.group.interrupt(victim.instance_id)
    bench.in_service()
    bench.tick()
    assert bench.states() == ["Terminating:Wait", "InService"]
    assert victim.metadata.target_state == "Terminated"
    assert victim.signals == []


def test_an_interrupted_instance_is_taken_away_after_two_minutes() -> None:
    bench = Bench(1)
    victim = bench.in_service()[0]
    bench.group.interrupt(victim.instance_id)
    bench.tick(SPOT_NOTICE - SECOND)
    assert victim.is_running
    bench.tick(SECOND)
    assert victim.signals == ["KILL"]


def test_an_interrupted_instance_that_leaves_by_itself_is_not_replaced_twice() -> None:
    bench = Bench(1)
    victim = bench.in_service()[0]
    bench.group.interrupt(victim.instance_id)
    bench.in_service()
    victim.is_running = False
    bench.tick()
    assert bench.states() == ["InService"]
    assert len(bench.launcher.launched) == 2


def test_an_unknown_instance_cannot_be_interrupted() -> None:
    with pytest.raises(LocalModeError, match="There is no instance i-0"):
        Bench(1).group.interrupt("i-0")


def test_stopping_ends_idle_instances_at_once_and_gives_busy_ones_a_deadline() -> None:
    bench = Bench(2)
    idle, busy = bench.in_service()
    busy.idle = False
    ends_at = bench.clock.now() + 8 * SECOND
    bench.group.stop(at=ends_at)
    assert idle.signals == ["KILL"]
    assert busy.signals == ["TERM"]
    assert busy.metadata.interruption_at == ends_at
    bench.tick()
    assert bench.states() == ["Terminating"]
    bench.tick(8 * SECOND)
    assert busy.signals == ["TERM", "KILL"]
    bench.tick()
    assert bench.states() == []
    assert len(bench.launcher.launched) == 2
