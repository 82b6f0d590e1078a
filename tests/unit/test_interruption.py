"""Notices, deadlines, and what the running task does about them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOON
from fake_imds import FakeImds
from sdfleet.domain.interruption import (
    INTERRUPTION_MARGIN,
    LONGEST_UNDER_REBALANCE,
    Notice,
    NoticeKind,
    can_finish,
    longest_wait,
    may_begin,
    tightened,
    time_left,
)
from sdfleet.domain.task import DEFAULT_TIMEOUT
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.identity import identify
from sdfleet_scheduler.interruption_watch import InterruptionWatch

LATE = Notice(NoticeKind.TERMINATION, NOON + timedelta(minutes=10))
SOON = Notice(NoticeKind.SPOT_INTERRUPTION, NOON + timedelta(minutes=2))


def test_a_later_notice_shortens_the_deadline() -> None:
    assert tightened(LATE, SOON) is SOON


def test_a_later_notice_never_lengthens_the_deadline() -> None:
    assert tightened(SOON, LATE) is SOON


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=10_000), min_size=1))
def test_whatever_comes_in_whatever_order_the_earliest_deadline_is_in_force(seconds: list[int]) -> None:
    drain = Drain()
    for number in range(len(seconds)):
        notice = Notice(NoticeKind.TERMINATION, NOON + timedelta(seconds=seconds[number]))
        in_force = drain.begin(notice)
        assert in_force.deadline == NOON + timedelta(seconds=min(seconds[: number + 1]))


def test_settlement_has_its_share_of_the_time_left() -> None:
    assert time_left(SOON, now=NOON) == timedelta(minutes=2) - INTERRUPTION_MARGIN


def test_no_time_is_left_after_the_deadline() -> None:
    assert time_left(SOON, now=NOON + timedelta(hours=1)) == timedelta(0)


@pytest.mark.parametrize(
    ("progress", "left_s", "expected"),
    [(0.5, 61, True), (0.5, 59, False), (0.0, 1, True), (0.0, 0, False), (1.0, 0, True)],
)
def test_a_run_goes_on_if_its_pace_fits_the_time_left(progress: float, left_s: int, expected: bool) -> None:
    elapsed = timedelta(seconds=60)
    assert can_finish(elapsed=elapsed, progress=progress, left=timedelta(seconds=left_s)) is expected


def a_watch(imds: FakeImds, drain: Drain, *, longest_wait: timedelta | None = None) -> InterruptionWatch:
    return InterruptionWatch(
        imds.client(), drain, FakeClock(NOON), drain_timeout=timedelta(seconds=75), longest_wait=longest_wait
    )


@pytest.mark.parametrize(("timeout_s", "hours"), [(36, 1), (1800, 48), (7200, 48)])
def test_heartbeats_hold_an_instance_for_a_hundred_timeouts_or_two_days(timeout_s: int, hours: int) -> None:
    assert longest_wait(timedelta(seconds=timeout_s)) == timedelta(hours=hours)


def test_an_instance_that_may_be_asked_to_go_begins_no_long_task() -> None:
    too_long = LONGEST_UNDER_REBALANCE + timedelta(seconds=1)
    assert not may_begin(too_long, is_rebalance_recommended=True)
    assert may_begin(too_long, is_rebalance_recommended=False)


def test_an_instance_that_may_be_asked_to_go_begins_ordinary_tasks() -> None:
    assert may_begin(DEFAULT_TIMEOUT, is_rebalance_recommended=True)


async def test_a_spot_notice_begins_the_drain_with_its_own_time() -> None:
    action = json.dumps({"action": "terminate", "time": "2026-11-02T12:01:30Z"})
    drain = Drain()
    await a_watch(FakeImds(spot__instance_action=action), drain).poll()
    assert drain.notice == Notice(NoticeKind.SPOT_INTERRUPTION, NOON + timedelta(seconds=90))


async def test_a_spot_notice_that_cannot_be_read_is_still_a_notice() -> None:
    drain = Drain()
    await a_watch(FakeImds(spot__instance_action="soon"), drain).poll()
    assert drain.notice == Notice(NoticeKind.SPOT_INTERRUPTION, NOON + timedelta(seconds=120))


async def test_the_groups_decision_to_terminate_begins_the_drain() -> None:
    drain = Drain()
    await a_watch(FakeImds(autoscaling__target_lifecycle_state="Terminated"), drain).poll()
    assert drain.notice == Notice(NoticeKind.TERMINATION, NOON + timedelta(seconds=75))


async def test_a_hook_gives_the_work_in_hand_as_long_as_heartbeats_can_hold_the_instance() -> None:
    drain = Drain()
    imds = FakeImds(autoscaling__target_lifecycle_state="Terminated")
    await a_watch(imds, drain, longest_wait=timedelta(hours=10)).poll()
    assert drain.notice == Notice(NoticeKind.TERMINATION, NOON + timedelta(hours=10))


async def test_a_spot_notice_shortens_what_the_hook_gave() -> None:
    drain = Drain()
    imds = FakeImds(autoscaling__target_lifecycle_state="Terminated")
    watch = a_watch(imds, drain, longest_wait=timedelta(hours=10))
    await watch.poll()
    imds.values["spot/instance-action"] = json.dumps({"action": "terminate", "time": "2026-11-02T12:02:00Z"})
    await watch.poll()
    assert drain.notice == SOON


async def test_the_groups_decision_is_noted_during_a_drain_too() -> None:
    drain = Drain()
    imds = FakeImds()
    watch = a_watch(imds, drain)
    drain.begin(SOON)
    await watch.poll()
    assert not watch.is_terminating
    imds.values["autoscaling/target-lifecycle-state"] = "Terminated"
    await watch.poll()
    assert watch.is_terminating


async def test_a_rebalance_recommendation_is_no_drain() -> None:
    drain = Drain()
    watch = a_watch(FakeImds(events__recommendations__rebalance='{"noticeTime": "2026-11-02T12:00:00Z"}'), drain)
    await watch.poll()
    assert watch.is_rebalance_recommended
    assert not drain.is_draining


async def test_nothing_posted_changes_nothing() -> None:
    drain = Drain()
    await a_watch(FakeImds(autoscaling__target_lifecycle_state="InService"), drain).poll()
    assert not drain.is_draining


async def test_a_silent_metadata_service_is_named_so() -> None:
    imds = FakeImds()
    imds.is_up = False
    with pytest.raises(ServiceUnavailable, match="metadata"):
        await a_watch(imds, Drain()).poll()


async def test_an_instance_learns_its_id_and_release_from_its_own_metadata() -> None:
    service = FakeImds(instance_id="i-1", tags__instance__sdfleet_release="1.2.3").client()
    identity = await identify(service, fallback_instance_id="laptop-1")
    assert (identity.instance_id, identity.release) == ("i-1", "1.2.3")


async def test_off_ec2_an_instance_takes_the_fallback() -> None:
    imds = FakeImds()
    imds.is_up = False
    identity = await identify(imds.client(), fallback_instance_id="laptop-1")
    assert (identity.instance_id, identity.release) == ("laptop-1", "unreleased")
