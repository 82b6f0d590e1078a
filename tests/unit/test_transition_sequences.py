"""Any sequence of transitions, by the living and by zombies: what holds however they come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from builders import NOON, RUN, a_task, an_artifact
from sdfleet.domain import transitions
from sdfleet.domain.task import Failure, Task, TaskStatus
from sdfleet.domain.transitions import FREE_LEASE_LOSSES, Admission
from sdfleet.errors import TransitionRefused

BROKEN = Failure("broken", "It broke.", permanent=False)
tokens = st.sampled_from(["token-a", "token-b", "token-c"])
runs = st.sampled_from([RUN, RUN, RUN, "an-older-run"])


class TaskLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.task: Task = a_task()
        self.now: datetime = NOON
        #: Tries that ended in a counted failure: what `attempt` may count beside lost instances.
        self.counted = 0

    def apply(self, transition: Callable[[Task], Task], *, run: str = RUN, token: str | None = None) -> bool:
        """Whether the record changed; what a stale run or token asks for must not change it."""
        before = self.task
        try:
            self.task = transition(before)
        except TransitionRefused:
            return False
        assert run == before.run, "a message of an older run changed the record"
        if token is not None:
            assert before.claim is not None
            assert before.claim.token == token, "a stale token changed the record"
        if before.is_terminal:
            assert self.task.status is before.status, "a terminal task changed its state"
            assert (self.task.artifacts, self.task.error) == (before.artifacts, before.error)
        return self.task != before

    @rule(seconds=st.integers(0, 200_000))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def publish(self) -> None:
        self.apply(lambda task: transitions.dispatched(task, now=self.now))

    @rule(run=runs, token=tokens)
    def claim(self, run: str, token: str) -> None:
        held, before, admission = self.task.is_leased(self.now), self.task, self.admission(run)
        claimed = self.apply(
            lambda task: transitions.claim(
                task, run=run, token=token, instance_id="i", lease_until=self.now + timedelta(seconds=30), now=self.now
            ),
            run=run,
        )
        assert claimed == (admission is Admission.RUN)
        if claimed:
            assert not held, "two instances hold one task"
            assert self.task.attempt <= self.task.max_attempts
            if before.status is TaskStatus.QUEUED:
                assert self.task.attempt == before.attempt

    def admission(self, run: str) -> Admission:
        return transitions.admission(self.task, run=run, now=self.now)

    @rule(run=runs, token=tokens, progress=st.floats(0, 1))
    def heartbeat(self, run: str, token: str, progress: float) -> None:
        before = self.task.progress
        until = self.now + timedelta(seconds=30)
        self.apply(
            lambda task: transitions.renew(task, run=run, token=token, lease_until=until, progress=progress),
            run=run,
            token=token,
        )
        assert self.task.progress >= before

    @rule(run=runs, token=tokens)
    def interrupt(self, run: str, token: str) -> None:
        before = self.task.attempt
        self.apply(
            lambda task: transitions.requeue(task, run=run, token=token, spends_attempt=False), run=run, token=token
        )
        assert self.task.attempt == before, "an interruption spent an attempt"

    @rule(run=runs, token=tokens)
    def fail_a_try(self, run: str, token: str) -> None:
        if self.apply(
            lambda task: transitions.requeue(task, run=run, token=token, spends_attempt=True), run=run, token=token
        ):
            self.counted += 1

    @rule(run=runs, token=tokens)
    def succeed(self, run: str, token: str) -> None:
        self.apply(
            lambda task: transitions.succeed(
                task, run=run, token=token, artifacts=(an_artifact(),), output_url="s3://b/o", now=self.now
            ),
            run=run,
            token=token,
        )

    @rule(run=runs, token=st.none() | tokens)
    def fail(self, run: str, token: str | None) -> None:
        self.apply(
            lambda task: transitions.fail(task, BROKEN, run=run, token=token, now=self.now), run=run, token=token
        )

    @rule(run=runs, token=st.none() | tokens)
    def cancel_at_the_instance(self, run: str, token: str | None) -> None:
        self.apply(lambda task: transitions.cancelled(task, run=run, token=token, now=self.now), run=run, token=token)

    @rule()
    def request_cancel(self) -> None:
        self.apply(lambda task: transitions.request_cancel(task, now=self.now))

    @rule()
    def expire(self) -> None:
        self.apply(lambda task: transitions.expire(task, now=self.now))

    @rule(run=runs)
    def notify(self, run: str) -> None:
        self.apply(lambda task: transitions.notified(task, run=run, now=self.now), run=run)

    @invariant()
    def a_claim_belongs_to_a_running_task(self) -> None:
        assert (self.task.claim is not None) == (self.task.status is TaskStatus.RUNNING)

    @invariant()
    def an_end_has_a_time_and_a_failure_a_reason(self) -> None:
        assert (self.task.finished_at is not None) == self.task.is_terminal
        assert (self.task.error is not None) == (self.task.status in (TaskStatus.FAILED, TaskStatus.CANCELLED))

    @invariant()
    def only_counted_failures_and_repeated_losses_spend_attempts(self) -> None:
        assert self.task.attempt - 1 == self.counted + max(0, self.task.losses - FREE_LEASE_LOSSES)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Until somebody was told how it ended, the sweeper will look at it."""
        assert (transitions.due_at(self.task) is None) == (self.task.notified_at is not None)


TaskLife.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_task_life = TaskLife.TestCase
