from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import a_running_task
from sdfleet.domain.retry import (
    FREE_RUNTIME_LOSSES,
    FREE_TRIAL_LOSSES,
    RETRY_MAX,
    SECOND_OPINIONS,
    FailureKind,
    GiveUp,
    RetryAfter,
    decide,
)
from sdfleet.domain.task import Failure

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
@given(attempt=attempts, lost=st.integers(0, FREE_TRIAL_LOSSES - 1))
def test_what_fails_on_a_release_on_trial_is_no_attempt_even_of_the_last_one(attempt: int, lost: int) -> None:
    task = a_running_task(attempt=attempt, losses=lost)
    decision = decide(FailureKind.TRANSIENT, "oom", "No memory.", task, is_on_trial=True)
    assert isinstance(decision, RetryAfter)
    assert (decision.spends_attempt, decision.counts_loss) == (False, True)


def test_a_task_that_fails_on_trial_again_and_again_is_measured_as_any_other() -> None:
    task = a_running_task(attempt=3, losses=FREE_TRIAL_LOSSES)
    decision = decide(FailureKind.TRANSIENT, "oom", "No memory.", task, is_on_trial=True)
    assert decision == GiveUp(Failure("oom", "No memory.", permanent=False))


def test_a_request_that_a_release_on_trial_refuses_is_shown_to_others() -> None:
    asked = decide(FailureKind.PERMANENT, "bad", "It is bad.", a_running_task(losses=0), is_on_trial=True)
    assert asked == RetryAfter(timedelta(seconds=2), spends_attempt=False, counts_loss=True)
    task = a_running_task(losses=SECOND_OPINIONS)
    agreed = decide(FailureKind.PERMANENT, "bad", "It is bad.", task, is_on_trial=True)
    assert agreed == GiveUp(Failure("bad", "It is bad.", permanent=True))


@few
@given(
    kind=st.sampled_from([FailureKind.TRANSIENT, FailureKind.RUNTIME_LOST, FailureKind.PERMANENT]),
    is_on_trial=st.booleans(),
)
def test_whatever_goes_on_failing_ends(kind: FailureKind, is_on_trial: bool) -> None:
    attempt, lost = 1, 0
    for _ in range(20):
        decision = decide(kind, "x", "y", a_running_task(attempt=attempt, losses=lost), is_on_trial=is_on_trial)
        if isinstance(decision, GiveUp):
            return
        attempt += decision.spends_attempt
        lost += decision.counts_loss
    raise AssertionError("it went on for ever")
