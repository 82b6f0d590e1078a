"""Arrivals: as many as asked for, where they were asked for, and files with what is wrong in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sdfleet.errors import ConfigError
from sdfleet_sim import arrivals


def test_a_constant_rate_is_one_by_chance_and_the_same_for_the_same_seed() -> None:
    trace = arrivals.constant(10, 3600, seed=1)
    assert len(trace) == pytest.approx(36_000, rel=0.02)
    assert trace.accepted == arrivals.constant(10, 3600, seed=1).accepted
    assert trace.accepted != arrivals.constant(10, 3600, seed=2).accepted


def test_a_days_curve_is_highest_at_three_in_the_afternoon() -> None:
    counts = Counter(int(at // 3600) for at in arrivals.daily(2, seed=1).accepted)
    by_hour = [counts[hour] for hour in range(24)]
    assert by_hour.index(max(by_hour)) in (14, 15)
    assert by_hour.index(min(by_hour)) in (2, 3)
    assert max(by_hour) == pytest.approx(7_200, rel=0.05)
    assert min(by_hour) == pytest.approx(750, rel=0.15)


def test_a_burst_comes_within_its_time_and_single_tasks_keep_their_distance() -> None:
    crowd = arrivals.burst(1000, 10, seed=1)
    assert (len(crowd), crowd.accepted[0] >= 60, crowd.accepted[-1] <= 70) == (1000, True, True)
    night = arrivals.singles(3, 8 * 3600, seed=1)
    assert [int(at // 9600) for at in night.accepted] == [0, 1, 2]
    assert night.duration_s == 8 * 3600


def test_evenly_leaves_nothing_to_chance() -> None:
    assert list(arrivals.evenly(2, 2).accepted) == [0.0, 0.5, 1.0, 1.5]


def test_a_file_may_have_a_heading_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "morning.csv"
    path.write_text("seconds,tasks\n10,2\n\n5,1\n20,0\n")
    trace = arrivals.from_csv(path)
    assert (trace.name, list(trace.accepted), trace.duration_s) == ("morning", [5.0, 10.0, 10.0], 10.0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"1\nsoon\n", r":2: 'soon' is no time"),
        (b"1\n-2\n", r":2: '-2': times and counts are 0 or more"),
        (b"1,2,3\n", r":1: 3 columns"),
        (b"1,1.5\n", r":1: '1,1.5' is no time in seconds, or no count"),
        (b"nan,1\n", r":1: 'nan,1': times"),
        (b"seconds\n", "no arrival in it"),
        (b"", "no arrival in it"),
        (b"\xff\xfe1\n", "no text file"),
    ],
    ids=[
        "a word",
        "before the beginning",
        "three columns",
        "half a task",
        "not a number",
        "a heading",
        "nothing",
        "bytes",
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        arrivals.from_csv(path)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        arrivals.from_csv(tmp_path / "none.csv")
