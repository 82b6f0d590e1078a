from __future__ import annotations

from datetime import timedelta

import pytest

from sdfleet.domain import scaling
from sdfleet.domain.scaling import DEFAULT_STEPS, Interval, Limits, Step, StepTable

FIVE = Limits(0, 5)
IDLE_AFTER = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("visible", "addition"),
    [(0, 0), (9, 0), (10, 1), (49, 1), (50, 2), (100, 2), (101, 3), (100_000, 3)],
)
def test_the_default_steps_are_those_of_the_guide(visible: int, addition: int) -> None:
    assert DEFAULT_STEPS.addition(visible) == addition


def test_intervals_count_from_the_threshold_and_exclude_their_upper_bound() -> None:
    assert DEFAULT_STEPS.threshold == 10
    assert DEFAULT_STEPS.intervals() == (Interval(0, 40, 1), Interval(40, 91, 2), Interval(91, None, 3))


def test_every_message_count_lies_in_one_interval_with_the_tables_addition() -> None:
    for visible in range(DEFAULT_STEPS.threshold, 200):
        above = visible - DEFAULT_STEPS.threshold
        holding = [
            interval.add
            for interval in DEFAULT_STEPS.intervals()
            if interval.lower <= above and (interval.upper is None or above < interval.upper)
        ]
        assert holding == [DEFAULT_STEPS.addition(visible)]


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ((), "adds instances"),
        ((Step(0, 0),), "adds instances"),
        ((Step(0, 1),), "one message or more"),
        ((Step(10, 1), Step(10, 2)), "more messages"),
    ],
    ids=["none", "none that adds", "for no message", "the same bound twice"],
)
def test_steps_that_cannot_be_followed_are_refused(steps: tuple[Step, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        StepTable(steps)


@pytest.mark.parametrize(("capacity", "visible", "wakes"), [(0, 1, True), (0, 0, False), (1, 9, False)])
def test_only_a_fleet_at_zero_with_a_message_wakes(capacity: int, visible: int, wakes: bool) -> None:
    assert scaling.wakes(capacity=capacity, visible=visible) is wakes


@pytest.mark.parametrize(
    ("capacity", "visible", "wanted"),
    [(0, 1, 1), (0, 9, 1), (0, 10, 1), (0, 101, 3), (1, 9, 1), (2, 50, 4), (4, 500, 5), (5, 500, 5), (3, 0, 3)],
)
def test_a_fleet_grows_by_the_table_and_never_above_its_greatest_size(capacity: int, visible: int, wanted: int) -> None:
    assert scaling.stepped_up(DEFAULT_STEPS, FIVE, capacity=capacity, visible=visible) == wanted


@pytest.mark.parametrize(("warming", "wanted"), [(0, 5), (1, 4), (2, 3), (3, 3)])
def test_what_is_warming_up_is_not_ordered_again(warming: int, wanted: int) -> None:
    assert scaling.stepped_up(DEFAULT_STEPS, FIVE, capacity=3, visible=60, warming=warming) == wanted


def test_growing_never_cuts_a_fleet_that_an_operator_has_set_above_its_greatest_size() -> None:
    assert scaling.stepped_up(DEFAULT_STEPS, FIVE, capacity=8, visible=0) == 8
    assert scaling.stepped_up(DEFAULT_STEPS, FIVE, capacity=8, visible=9) == 8


@pytest.mark.parametrize(
    ("capacity", "visible", "in_flight", "empty_for", "wanted"),
    [
        (3, 0, 0, timedelta(minutes=5), 2),
        (3, 0, 0, timedelta(minutes=4), 3),
        (3, 1, 0, timedelta(minutes=5), 3),
        (3, 0, 1, timedelta(minutes=5), 3),
        (0, 0, 0, timedelta(hours=1), 0),
    ],
    ids=["empty", "not for long", "one waits", "one runs", "nothing to take"],
)
def test_a_fleet_shrinks_by_one_when_nothing_waits_and_nothing_runs(
    capacity: int, visible: int, in_flight: int, empty_for: timedelta, wanted: int
) -> None:
    left = scaling.stepped_down(
        FIVE, capacity=capacity, visible=visible, in_flight=in_flight, empty_for=empty_for, idle_after=IDLE_AFTER
    )
    assert left == wanted


def test_a_fleet_never_shrinks_below_its_least_size() -> None:
    two = Limits(2, 5)
    assert (
        scaling.stepped_down(
            two, capacity=2, visible=0, in_flight=0, empty_for=timedelta(hours=1), idle_after=IDLE_AFTER
        )
        == 2
    )
