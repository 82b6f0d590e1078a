"""What a release on trial is measured by, and who asks whether it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOON
from sdfleet.domain.rollout import Phase, Rollout, Target, Wish
from sdfleet.domain.rollout_record import RolloutHistory, from_json, to_json
from sdfleet.domain.trial import FAILURE_FORMULA, FEWEST_FAILURES, FEWEST_RUNS, TIMES_THE_REST, Runs, TrialLimits
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.rollouts import MemoryRollouts
from sdfleet_local.scaling_expressions import evaluate
from sdfleet_scheduler.circuit_breaker import TRIPS_AT
from sdfleet_scheduler.trial import FRESH_FOR, Trial

counts = st.integers(0, 400)
few = settings(max_examples=60, deadline=None)


def failure_percentage(*, good: float, bad: float, all_good: float, all_bad: float) -> float | None:
    """As CloudWatch reckons it."""
    return evaluate(FAILURE_FORMULA, {"good": good, "bad": bad, "allgood": all_good, "allbad": all_bad})


def test_few_runs_are_no_rate() -> None:
    assert failure_percentage(good=2, bad=2, all_good=96, all_bad=4) == 0
    assert failure_percentage(good=3, bad=2, all_good=95, all_bad=5) == 40


def test_an_instance_that_fails_everything_is_measured_although_it_stops_receiving() -> None:
    assert failure_percentage(good=0, bad=TRIPS_AT, all_good=96, all_bad=TRIPS_AT) == 100
    assert failure_percentage(good=0, bad=TRIPS_AT - 1, all_good=96, all_bad=TRIPS_AT - 1) == 0


def test_what_callers_do_wrong_is_not_held_against_the_release() -> None:
    # A third of both shares fails: somebody sends nonsense.
    assert failure_percentage(good=20, bad=10, all_good=100, all_bad=50) == 0
    assert failure_percentage(good=20, bad=10, all_good=120, all_bad=20) == pytest.approx(33.3, abs=0.1)


def test_with_nobody_beside_it_a_release_is_measured_alone() -> None:
    assert failure_percentage(good=9, bad=1, all_good=9, all_bad=1) == 10


@few
@given(good=counts, bad=counts, rest_good=counts, rest_bad=counts)
def test_a_release_is_measured_by_a_rate_and_beside_the_rest(
    good: int, bad: int, rest_good: int, rest_bad: int
) -> None:
    is_rate = good + bad >= FEWEST_RUNS or bad >= FEWEST_FAILURES
    # Cross-multiplied: where nobody is beside it, there is no rate to divide by.
    is_worse = bad * (rest_good + rest_bad) >= TIMES_THE_REST * rest_bad * (good + bad)
    found = failure_percentage(good=good, bad=bad, all_good=good + rest_good, all_bad=bad + rest_bad)
    assert found == (100 * bad / (good + bad) if is_rate and is_worse else 0)


def test_where_nothing_was_counted_nothing_failed() -> None:
    assert evaluate(FAILURE_FORMULA, dict.fromkeys(("good", "bad", "allgood", "allbad"))) == 0


def test_limits_are_read_as_they_were_written() -> None:
    limits = TrialLimits("arn:aws:sns:us-west-2:123456789012:sdfleet-alarms", 12.5, 3)
    assert TrialLimits.from_json(limits.to_json()) == limits


@pytest.mark.parametrize(
    "text", ["null", "{}", "[]", "7", "", '{"topic": "a", "failurePercentage": null, "deadLetters": 1}']
)
def test_what_is_not_limits_is_not_taken_for_them(text: str) -> None:
    with pytest.raises(ValueError, match="no limits of a trial"):
        TrialLimits.from_json(text)


def test_runs_are_counted_together() -> None:
    assert Runs(3, 2).count == 5


def a_rollout(phase: Phase = Phase.CANARY_BAKING) -> Rollout:
    wish = Wish(20, timedelta(minutes=15))
    return Rollout("r1", "sdruntime", Target("1.0.0", "3"), Target("1.1.0", "4"), wish, NOON, phase=phase)


class Rollouts(MemoryRollouts):
    is_away = False
    looks = 0

    def load(self, runtime: str) -> RolloutHistory:
        self.looks += 1
        if self.is_away:
            raise ServiceUnavailable
        return super().load(runtime)

    def record(self, rollout: Rollout) -> None:
        self.save(rollout.runtime, replace(super().load(rollout.runtime), current=rollout))


def a_trial(rollouts: Rollouts, clock: FakeClock, release: str = "1.1.0") -> Trial:
    return Trial(rollouts, clock, runtime="sdruntime", release=release)


def test_a_release_is_on_trial_until_its_rollout_has_succeeded() -> None:
    history = RolloutHistory(a_rollout())
    assert history.is_on_trial("1.1.0")
    assert not history.is_on_trial("1.0.0")
    assert not RolloutHistory().is_on_trial("1.1.0")
    assert RolloutHistory(a_rollout(Phase.ROLLED_BACK)).is_on_trial("1.1.0")
    assert not RolloutHistory(a_rollout(Phase.SUCCEEDED)).is_on_trial("1.1.0")


def test_a_release_that_never_proved_itself_is_on_trial_while_the_next_one_replaces_its_last_instances() -> None:
    failed = a_rollout(Phase.FAILED)
    following = replace(a_rollout(), id="r2", target=Target("1.2.0", "5"))
    history = RolloutHistory(failed).followed_by(following)
    assert history.is_on_trial("1.1.0")
    assert history.is_on_trial("1.2.0")

    again = replace(a_rollout(Phase.SUCCEEDED), id="r3")
    assert not history.followed_by(again).is_on_trial("1.1.0")


def test_a_record_is_read_by_the_instances_of_earlier_and_later_releases() -> None:
    rollout = replace(a_rollout(), baking_since=NOON)
    record = to_json(rollout)
    assert from_json(record) == rollout

    of_tomorrow = {**record, "weather": "fine", "wish": {**record["wish"], "haste": 3}}
    assert from_json(of_tomorrow) == rollout
    del record["baking_since"], record["former_minimum"]
    assert from_json(record) == a_rollout()


async def test_the_record_of_the_rollouts_tells_who_is_on_trial() -> None:
    rollouts, clock = Rollouts(), FakeClock()
    rollouts.record(a_rollout())
    assert await a_trial(rollouts, clock).is_on()
    assert not await a_trial(rollouts, clock, release="1.0.0").is_on()


async def test_many_failures_at_once_ask_once() -> None:
    rollouts, clock = Rollouts(), FakeClock()
    rollouts.record(a_rollout())
    trial = a_trial(rollouts, clock)
    for _ in range(10):
        assert await trial.is_on()
    assert rollouts.looks == 1

    rollouts.record(a_rollout(Phase.SUCCEEDED))
    clock.advance(FRESH_FOR)
    assert not await trial.is_on()


async def test_what_cannot_be_read_is_as_it_was() -> None:
    rollouts, clock = Rollouts(), FakeClock()
    rollouts.record(a_rollout())
    trial, stranger = a_trial(rollouts, clock), a_trial(rollouts, clock)
    assert await trial.is_on()
    rollouts.is_away = True
    clock.advance(FRESH_FOR)
    assert await trial.is_on()
    assert not await stranger.is_on()
