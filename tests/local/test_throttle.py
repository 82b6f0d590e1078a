from __future__ import annotations

from dataclasses import dataclass

from sdfleet_local.throttle import TokenBucket


@dataclass
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_what_follows_is_told_to_wait() -> None:
    bucket = TokenBucket(rate=30, burst=50, monotonic=Seconds())
    assert [bucket.take() for _ in range(50)] == [None] * 50
    assert bucket.take() == 1


def test_the_rate_refills_it_up_to_the_burst() -> None:
    clock = Seconds()
    bucket = TokenBucket(rate=30, burst=50, monotonic=clock)
    taken = [bucket.take() for _ in range(51)]
    assert taken[-1] is not None
    clock.now += 1
    assert sum(bucket.take() is None for _ in range(100)) == 30
    clock.now += 3600
    assert sum(bucket.take() is None for _ in range(100)) == 50


def test_a_slow_rate_names_the_whole_seconds_until_the_next_request() -> None:
    clock = Seconds()
    bucket = TokenBucket(rate=0.25, burst=1, monotonic=clock)
    assert bucket.take() is None
    assert bucket.take() == 4
    clock.now += 3.5
    assert bucket.take() == 1
    clock.now += 0.5
    assert bucket.take() is None
