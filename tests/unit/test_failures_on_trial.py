"""What a release on trial fails or refuses comes back to others unspent; no task ends because of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behaviours import fails_permanently, fails_transiently, is_lost
from scheduler_harness import Behaviour, Harness, ScriptedRuntime, succeeds
from sdfleet.domain.retry import MOST_TRIAL_LOSSES, TRIAL_RETRY_MAX
from sdfleet.domain.task import RuntimeType, Task, TaskStatus
from sdfleet.errors import MalformedMessage
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.models import Models
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback, RuntimeFailure

NO_SUCH_INPUT = {"prompt": "a dog", "init_images": ["s3://another-bucket/secret.png"]}
LATER = TRIAL_RETRY_MAX + timedelta(minutes=1)


async def crashes(job: Job, on_progress: ProgressCallback) -> Generation:
    raise ZeroDivisionError


class Trial:
    is_on = True

    async def __call__(self) -> bool:
        return self.is_on


class Canary(Harness):
    """An instance of the release on trial, until `trial.is_on` is set to False."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.trial = Trial()
        self.time = FakeClock()
        super().__init__(ScriptedRuntime(*behaviours), clock=self.time)

    def build(self) -> None:
        self.models = Models(None, RuntimeType.TEST_PATTERN)
        super().build()
        self.executor._is_on_trial = self.trial
        for counts in (self.settlement, self.executor._dead_letters):
            counts._release = "1.1.0"

    async def run_when_due(self) -> Task:
        self.time.advance(LATER)
        await self.run_next()
        return self.task()

    @property
    def is_open(self) -> bool:
        return self.health._breaker.is_open


class StableInstance(Harness):
    """One of the former release: another process on the same queue, records and topic."""

    def __init__(self, canary: Canary, *behaviours: Behaviour) -> None:
        super().__init__(ScriptedRuntime(*behaviours), clock=canary.time, store=canary.memory_store)
        self.memory_store, self.queue = canary.memory_store, canary.queue
        self.artifacts, self.results = canary.artifacts, canary.results
        self.build()


def counted(capsys: pytest.CaptureFixture[str], metric: str) -> int:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if f'"{metric}":1' in line]
    return sum(line.get("Release") == "1.1.0" for line in lines)


async def test_a_broken_canary_spends_no_attempt_of_the_tasks_that_it_touches() -> None:
    canary = Canary(fails_transiently)
    canary.submit()
    await canary.run_next()
    task = canary.task()
    assert (task.attempt, task.losses, task.status) == (1, 1, TaskStatus.QUEUED)


@pytest.mark.parametrize("behaviour", [fails_transiently, fails_permanently, is_lost, crashes])
async def test_a_task_that_meets_nobody_else_waits_for_the_end_of_the_trial(behaviour: Behaviour) -> None:
    canary = Canary(behaviour)
    canary.submit()
    for _ in range(12):
        task = await canary.run_when_due()
        assert (task.status, task.attempt) == (TaskStatus.QUEUED, 1)
    assert task.losses == MOST_TRIAL_LOSSES

    canary.trial.is_on = False
    canary.runtime.behave(succeeds)
    assert (await canary.run_when_due()).status is TaskStatus.SUCCEEDED


async def test_a_wrong_request_ends_with_the_word_of_the_former_release() -> None:
    canary = Canary(fails_permanently)
    stable = StableInstance(canary, fails_permanently)
    canary.submit()
    await canary.run_next()
    assert canary.notices() == []
    canary.time.advance(LATER)
    await stable.run_next()
    assert canary.task().status is TaskStatus.FAILED
    assert [notice["error"]["code"] for notice in canary.notices()] == ["model_not_found"]


async def test_a_wrong_request_ends_with_the_word_of_a_release_that_has_proven_itself() -> None:
    canary = Canary(fails_permanently)
    canary.submit()
    await canary.run_when_due()
    canary.trial.is_on = False
    assert (await canary.run_when_due()).status is TaskStatus.FAILED


async def test_what_only_a_release_on_trial_cannot_fetch_is_made_by_the_former_one() -> None:
    canary = Canary()
    stable = StableInstance(canary)
    canary.submit(content=NO_SUCH_INPUT)
    await canary.run_next()
    task = canary.task()
    assert (task.status, task.attempt, task.losses, task.claim) == (TaskStatus.QUEUED, 1, 0, None)

    stable.executor._attempts._inputs._allowed_buckets |= {"another-bucket"}
    stable.artifacts.put("s3://another-bucket/secret.png", b"\x89PNG\r\n\x1a\n" + bytes(16), content_type="image/png")
    canary.time.advance(LATER)
    await stable.run_next()
    assert canary.task().status is TaskStatus.SUCCEEDED


async def test_an_input_that_nobody_can_fetch_fails_on_the_former_release() -> None:
    canary = Canary()
    stable = StableInstance(canary)
    canary.submit(content=NO_SUCH_INPUT)
    await canary.run_next()
    canary.time.advance(LATER)
    await stable.run_next()
    assert [notice["error"]["code"] for notice in canary.notices()] == ["input_unavailable"]


@pytest.mark.parametrize("body", ["no json", '{"metadata": {"id": "broken-1"}}'])
async def test_what_a_release_on_trial_cannot_read_is_left_to_others(body: str) -> None:
    canary = Canary()
    canary.queue.send(body)
    for _ in range(5):
        canary.time.advance(LATER)
        await canary.run_next()
    assert canary.queue.bodies() == [body]
    assert (canary.artifacts.urls(), canary.notices()) == ([], [])
    assert canary.is_open

    canary.time.advance(LATER)
    await StableInstance(canary).run_next()
    assert canary.queue.depth() == 0
    assert len(canary.artifacts.urls()) == 1


async def test_what_a_release_on_trial_cannot_read_is_counted_against_it(capsys: pytest.CaptureFixture[str]) -> None:
    canary = Canary()
    canary.queue.send("no json")
    await canary.run_next()
    assert counted(capsys, "DeadLetters") == 1


async def test_a_release_on_trial_that_crashes_over_a_record_leaves_the_task_to_others() -> None:
    canary = Canary()
    stable = StableInstance(canary)
    task = canary.submit()

    class Unreadable:
        def load(self, task_id: str) -> Task:
            raise KeyError("a_field_of_tomorrow")

    canary.executor._store = Unreadable()  # type: ignore[assignment]
    for _ in range(3):
        canary.time.advance(LATER)
        await canary.run_next()
    assert canary.is_open
    assert canary.task() == task
    canary.time.advance(LATER)
    await stable.run_next()
    assert canary.task().status is TaskStatus.SUCCEEDED


async def test_a_release_on_trial_that_crashes_over_its_pictures_gives_the_task_back() -> None:
    canary = Canary()
    canary.submit()

    async def crash(*_: object) -> None:
        raise ZeroDivisionError

    canary.settlement.succeeded = crash  # type: ignore[method-assign,assignment]
    for _ in range(12):
        task = await canary.run_when_due()
        assert (task.status, task.attempt, task.claim) == (TaskStatus.QUEUED, 1, None)


async def test_a_proven_release_that_crashes_over_a_message_says_so_to_its_poller() -> None:
    canary = Canary()
    canary.trial.is_on = False
    canary.submit()

    async def crash(*_: object) -> None:
        raise ZeroDivisionError

    canary.settlement.succeeded = crash  # type: ignore[method-assign,assignment]
    with pytest.raises(ZeroDivisionError):
        await canary.run_next()


@pytest.mark.parametrize(
    ("behaviour", "content"), [(fails_permanently, {"prompt": "a dog"}), (succeeds, NO_SUCH_INPUT)]
)
async def test_a_canary_that_refuses_good_requests_stops_receiving(
    behaviour: Behaviour, content: dict[str, object]
) -> None:
    canary = Canary(behaviour)
    for number in range(3):
        canary.submit(id=f"task-{number}", content=content)
        await canary.run_next()
    assert {canary.task(f"task-{number}").status for number in range(3)} == {TaskStatus.QUEUED}
    assert not canary.health.is_ready
    assert canary.is_open


async def test_failed_tries_are_counted_with_their_release(capsys: pytest.CaptureFixture[str]) -> None:
    canary = Canary(fails_transiently)
    canary.submit()
    for _ in range(8):
        await canary.run_when_due()
    assert counted(capsys, "TriesFailed") == 8


@pytest.mark.parametrize(
    ("behaviour", "content"), [(fails_permanently, {"prompt": "a dog"}), (succeeds, NO_SUCH_INPUT)]
)
@pytest.mark.parametrize("is_on_trial", [True, False])
async def test_what_may_be_the_callers_doing_counts_once_for_either_release(
    capsys: pytest.CaptureFixture[str], behaviour: Behaviour, content: dict[str, object], is_on_trial: bool
) -> None:
    canary = Canary(behaviour)
    canary.trial.is_on = is_on_trial
    canary.submit(content=content)
    for _ in range(4 if is_on_trial else 1):
        await canary.run_when_due()
    assert counted(capsys, "TriesFailed") == 1


async def test_one_wrong_request_that_goes_round_stops_no_instance() -> None:
    canary = Canary(fails_permanently)
    canary.submit()
    for _ in range(8):
        await canary.run_when_due()
    assert not canary.is_open


Fault = Callable[[Canary], None]


def at_the_runtime(behaviour: Behaviour) -> Fault:
    return lambda canary: canary.runtime.behave(behaviour)


def in_part(name: str, method: str, error: Exception) -> Fault:
    def break_it(canary: Canary) -> None:
        async def fail(*_: object, **__: object) -> Awaitable[None]:
            raise error

        part = {"models": canary.models, "inputs": canary.executor._attempts._inputs, "settlement": canary.settlement}
        setattr(part[name], method, fail)

    return break_it


FAULTS: dict[str, Fault] = {
    "fails": at_the_runtime(fails_transiently),
    "refuses": at_the_runtime(fails_permanently),
    "loses its runtime": at_the_runtime(is_lost),
    "has an adapter that crashes": at_the_runtime(crashes),
    "knows no model": in_part("models", "prepare", RuntimeFailure.permanent("model_not_found", "There is none.")),
    "gets no model": in_part("models", "prepare", RuntimeFailure.transient("model_unavailable", "S3 is away.")),
    "crashes over models": in_part("models", "prepare", KeyError("models")),
    "fetches nothing": in_part("inputs", "fetch", RuntimeFailure.permanent("input_unavailable", "It is gone.")),
    "finds no record": in_part("inputs", "fetch", MalformedMessage("there is no record of this task")),
    "crashes over pictures": in_part("settlement", "succeeded", ValueError("no picture")),
}


@settings(max_examples=15, deadline=None)
@given(faults=st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=10), attempt=st.integers(1, 3))
async def test_no_task_ends_because_of_a_release_on_trial(faults: list[str], attempt: int) -> None:
    canary = Canary()
    canary.submit(attempt=attempt, max_attempts=3)
    for fault in faults:
        canary.build()
        FAULTS[fault](canary)
        task = await canary.run_when_due()
        assert (task.status, task.attempt, task.error) == (TaskStatus.QUEUED, attempt, None), fault
    assert canary.notices() == []

    canary.time.advance(LATER)
    await StableInstance(canary).run_next()
    assert canary.task().status is TaskStatus.SUCCEEDED
