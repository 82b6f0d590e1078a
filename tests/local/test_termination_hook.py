"""How a local group lets its instances go."""

from __future__ import annotations

import pytest

from local_group_bench import HOOK, SECOND, Bench, FakeInstance
from sdfleet.errors import LocalModeError
from sdfleet_local.member import SPOT_NOTICE, TERMINATION_PATIENCE
from sdfleet_local.scaling_hooks import LifecycleAction


def action_of(bench: Bench, instance: FakeInstance) -> LifecycleAction:
    action = bench.group.lifecycle_action(HOOK, instance_id=instance.instance_id)
    assert action is not None
    return action


def a_waiting_instance(bench: Bench) -> FakeInstance:
    instance = bench.in_service()[0]
    bench.group.terminate(instance.instance_id)
    bench.tick()
    return instance


def test_an_instance_that_goes_is_told_and_waited_for_while_its_replacement_starts() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    assert bench.states() == ["Terminating:Wait", "Pending"]
    assert instance.metadata.target_state == "Terminated"
    assert instance.signals == []


def test_an_instance_that_is_done_is_shut_down() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    bench.group.complete(action_of(bench, instance))
    bench.tick()
    assert bench.states() == ["Terminating:Proceed", "Pending"]
    assert instance.signals == ["TERM"]
    bench.tick(TERMINATION_PATIENCE)
    assert instance.signals == ["TERM", "KILL"]


def test_the_group_goes_on_when_the_hooks_timeout_has_passed() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    bench.tick(SPOT_NOTICE - SECOND)
    assert instance.signals == []
    bench.tick(SECOND)
    assert instance.signals == ["TERM"]


def test_a_heartbeat_begins_the_timeout_anew() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    bench.tick(SPOT_NOTICE - SECOND)
    bench.group.extend(action_of(bench, instance))
    bench.tick(SPOT_NOTICE - SECOND)
    assert instance.signals == []
    bench.tick(SECOND)
    assert instance.signals == ["TERM"]


def test_heartbeats_hold_an_instance_for_a_hundred_timeouts_and_no_longer() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    for _ in range(200):
        bench.tick(SPOT_NOTICE - SECOND)
        if instance.signals:
            break
        bench.group.extend(action_of(bench, instance))
    assert bench.clock.now() - bench.started_at >= 100 * SPOT_NOTICE
    assert bench.clock.now() - bench.started_at < 102 * SPOT_NOTICE


def test_a_spot_notice_takes_a_waiting_instance_away_after_two_minutes() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    bench.tick(30 * SECOND)
    bench.group.interrupt(instance.instance_id)
    bench.group.extend(action_of(bench, instance))
    bench.tick(SPOT_NOTICE)
    assert instance.signals == ["KILL"]


def test_without_a_hook_an_instance_is_shut_down_at_once() -> None:
    bench = Bench(1, hooks=())
    instance = a_waiting_instance(bench)
    assert bench.states() == ["Terminating", "Pending"]
    assert instance.signals == ["TERM"]


def test_a_group_that_shrinks_replaces_nothing() -> None:
    bench = Bench(2)
    instance = bench.in_service()[0]
    bench.group.terminate(instance.instance_id, decrement=True)
    bench.tick()
    assert bench.states() == ["Terminating:Wait", "InService"]
    assert bench.group.is_at_capacity


def test_a_rebalance_recommendation_ends_the_instance_only_after_its_replacement_came() -> None:
    bench = Bench(1)
    instance = bench.in_service()[0]
    bench.group.recommend_rebalance(instance.instance_id)
    bench.tick(10 * SPOT_NOTICE)
    assert bench.states() == ["InService", "Pending"]
    assert instance.metadata.rebalance_noticed_at is not None
    assert instance.metadata.interruption_at is None
    bench.in_service()
    bench.tick()
    assert bench.states() == ["Terminating:Wait", "InService"]
    assert instance.signals == []


def test_an_operators_word_is_passed_on_to_the_scheduler() -> None:
    bench = Bench(1)
    instance = bench.in_service()[0]
    bench.group.drain(instance.instance_id)
    assert instance.signals == ["drain"]
    assert bench.states() == ["InService"]


def test_an_instance_that_stays_is_not_waited_for() -> None:
    bench = Bench(1)
    instance = bench.in_service()[0]
    assert bench.group.lifecycle_action(HOOK, instance_id=instance.instance_id) is None


def test_a_hook_of_another_name_is_refused() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    with pytest.raises(LocalModeError, match="no lifecycle hook launching"):
        bench.group.lifecycle_action("launching", instance_id=instance.instance_id)


def test_stopping_does_not_wait_for_the_hook() -> None:
    bench = Bench(1)
    instance = a_waiting_instance(bench)
    instance.idle = False
    bench.group.stop(at=bench.clock.now() + 8 * SECOND)
    assert instance.signals == ["TERM"]
    bench.tick(8 * SECOND)
    assert instance.signals == ["TERM", "KILL"]
