from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import a_running_task
from sdfleet.domain.retry import (
    FREE_RUNTIME_LOSSES,
    MOST_TRIAL_LOSSES,
    RETRY_MAX,
    TRIAL_RETRY_MAX,
    FailureKind,
    GiveUp,
    RetryAfter,
    decide,
    handed_back,
)
from sdfleet.domain.task import Failure
from sdfleet.domain.transitions import FREE_LEASE_LOSSES

attempts = st.integers(1, 3)
losses = st.integers(0, 20)
few = settings(max_examples=20, deadline=None)


def test_a_permanent_failure_is_not_tried_again() -> None:
    decision = decide(FailureKind.PERMANENT, "bad", "It is bad.", a_running_task())
    assert decision == GiveUp(Failure("bad", "It is bad.", permanent=True))


def test_a_transient_failure_is_tried_again_and_counted() -> None:
    decision = decide(FailureKind.TRANSIENT, "oom", "No memory.", a_running_task(attempt=1))
    assert decision == RetryAfter(timedelta(seconds=2), spends_attempt=True)


def test_the_last_transient_failure_is_the_end_but_not_a_verdict_on_the_request() -> None:
    decision = decide(FailureKind.TRANSIENT, "oom", "No memory.", a_running_task(attempt=3))
    assert decision == GiveUp(Failure("oom", "No memory.", permanent=False))


def test_the_first_lost_runtime_is_free_and_the_next_ones_count() -> None:
    free = decide(FailureKind.RUNTIME_LOST, "lost", "It died.", a_running_task(losses=0))
    counted = decide(FailureKind.RUNTIME_LOST, "lost", "It died.", a_running_task(losses=FREE_RUNTIME_LOSSES))
    assert isinstance(free, RetryAfter)
    assert isinstance(counted, RetryAfter)
    assert (free.spends_attempt, free.counts_loss) == (False, True)
    assert (counted.spends_attempt, counted.counts_loss) == (True, True)


@few
@given(attempt=attempts, lost=losses)
def test_an_interruption_is_free_for_ever(attempt: int, lost: int) -> None:
    task = a_running_task(attempt=attempt, losses=lost)
    assert decide(FailureKind.INTERRUPTED, "x", "y", task) == RetryAfter(timedelta(0), spends_attempt=False)


@few
@given(kind=st.sampled_from(FailureKind), attempt=attempts, lost=losses)
def test_delays_are_bounded(kind: FailureKind, attempt: int, lost: int) -> None:
    decision = decide(kind, "x", "y", a_running_task(attempt=attempt, losses=lost, max_attempts=50))
    assert isinstance(decision, GiveUp) or timedelta(0) <= decision.delay <= RETRY_MAX


@few
@given(attempt=attempts, lost=losses, deliveries=st.integers(1, 1000))
def test_what_fails_on_a_release_on_trial_is_no_attempt_however_often_it_does(
    attempt: int, lost: int, deliveries: int
) -> None:
    decision = handed_back(a_running_task(attempt=attempt, losses=lost), deliveries=deliveries)
    assert not decision.spends_attempt
    assert timedelta(0) < decision.delay <= TRIAL_RETRY_MAX


def test_a_trial_leaves_a_task_a_loss_that_is_free() -> None:
    lost = 0
    for deliveries in range(1, 50):
        lost += handed_back(a_running_task(losses=lost), deliveries=deliveries).counts_loss
    assert lost == MOST_TRIAL_LOSSES < FREE_LEASE_LOSSES


def test_what_goes_round_on_a_release_on_trial_goes_slower_and_slower() -> None:
    delays = [handed_back(a_running_task(), deliveries=n).delay.total_seconds() for n in range(1, 9)]
    assert delays == [2, 4, 8, 16, 32, 64, 120, 120]


@few
@given(kind=st.sampled_from([FailureKind.TRANSIENT, FailureKind.RUNTIME_LOST, FailureKind.PERMANENT]))
def test_whatever_goes_on_failing_ends(kind: FailureKind) -> None:
    attempt, lost = 1, 0
    for _ in range(20):
        decision = decide(kind, "x", "y", a_running_task(attempt=attempt, losses=lost))
        if isinstance(decision, GiveUp):
            return
        attempt += decision.spends_attempt
        lost += decision.counts_loss
    raise AssertionError("it went on for ever")
