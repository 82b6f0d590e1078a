from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sdfleet.domain.arrivals import Arrivals

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def looked_at(backlogs: list[int], *, done_per_s: float = 0.0) -> Arrivals:
    """Every five seconds."""
    arrivals = Arrivals(NOON, backlogs[0])
    for number, backlog in enumerate(backlogs[1:], start=1):
        at = NOON + timedelta(seconds=5 * number)
        arrivals = arrivals.seen(backlog, done_per_s=done_per_s, at=at)
    return arrivals


def test_a_queue_that_grows_steadily_shows_how_fast_tasks_come() -> None:
    # 10 a second are 350 in the half minute, give or take twice 18.7.
    assert looked_at([0, 50, 100, 150, 200, 250, 300, 350]).sure_per_s == pytest.approx((350 - 2 * 350**0.5) / 35)


def test_what_is_done_meanwhile_has_come_too() -> None:
    assert looked_at([20] * 8, done_per_s=4.0).sure_per_s == pytest.approx((140 - 2 * 140**0.5) / 35)


def test_one_long_task_is_no_trend() -> None:
    assert looked_at([1] * 8, done_per_s=0.1).sure_per_s == 0.0


def test_a_batch_that_comes_at_once_is_no_trend() -> None:
    assert looked_at([0, 0, 0, 5000, 5000, 5000, 5000, 5000]).sure_per_s == 0.0


def test_half_a_minute_has_to_pass_before_anything_is_sure() -> None:
    assert looked_at([0, 50, 100, 150, 200, 250, 300]).sure_per_s == 0.0


def test_only_the_last_half_minute_counts() -> None:
    rush, calm = list(range(0, 350, 50)), [300] * 8
    assert looked_at(rush + calm).sure_per_s == 0.0


def test_a_queue_that_empties_has_no_arrivals() -> None:
    assert looked_at(list(range(700, -1, -100))).sure_per_s == 0.0


def test_a_look_at_the_same_moment_says_nothing() -> None:
    arrivals = Arrivals(NOON, 5, (1.0,))
    assert arrivals.seen(500, done_per_s=0, at=NOON) is arrivals
