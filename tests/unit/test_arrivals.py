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
    # 10 a second; after five minutes less than 1 % of the former nothing is left.
    assert looked_at(list(range(0, 3001, 50))).per_s == pytest.approx(10, rel=0.01)


def test_what_is_done_meanwhile_has_come_too() -> None:
    assert looked_at([20] * 61, done_per_s=4.0).per_s == pytest.approx(4, rel=0.01)


def test_a_rush_hour_is_sure_but_for_two_deviations() -> None:
    # 10 a second are 600 a minute, give or take twice 24.5.
    assert Arrivals(NOON, 0, 10.0).sure_per_s == pytest.approx((600 - 2 * 600**0.5) / 60)


def test_single_requests_are_no_trend() -> None:
    assert looked_at([0, 1, 1, 2, 2]).sure_per_s == 0.0


def test_a_queue_that_empties_has_no_arrivals() -> None:
    assert looked_at([100, 50, 0]).per_s == 0.0


def test_a_look_at_the_same_moment_says_nothing() -> None:
    arrivals = Arrivals(NOON, 5, 1.0)
    assert arrivals.seen(500, done_per_s=0, at=NOON) is arrivals
