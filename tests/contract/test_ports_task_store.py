"""TaskStore, in memory and on DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from builders import NOON, a_failed_task, a_queued_task, a_running_task, a_succeeded_task, a_task, an_artifact
from sdfleet.domain import transitions
from sdfleet.domain.task import RECORD_LIFETIME, OutputFormat, Task, TaskOptions
from sdfleet.errors import RecordConflict
from sdfleet.memory.clock import FakeClock
from sdfleet.ports import IDEMPOTENCY_LIFETIME, TaskStore

RACERS = 8


def create(store: TaskStore, task: Task, *, key: str | None = None) -> Task:
    return store.create(task, replacing=None, idempotency_key=key, now=NOON)


def wins(calls: list[Callable[[], Task]]) -> int:
    """How many of `calls`, made at once, were not refused with a conflict."""

    def won(call: Callable[[], Task]) -> bool:
        try:
            call()
        except RecordConflict:
            return False
        return True

    with ThreadPoolExecutor(len(calls)) as threads:
        return sum(threads.map(won, calls))


def test_there_is_no_record_of_an_unknown_task(store: TaskStore) -> None:
    assert store.load("unknown") is None


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(a_task(), id="new"),
        pytest.param(a_queued_task(cancel_requested=True, attempt=2, losses=3), id="queued"),
        pytest.param(a_running_task(progress=0.1 + 0.2, started_at=NOON + timedelta(microseconds=1)), id="running"),
        pytest.param(
            a_succeeded_task(artifacts=(an_artifact(), an_artifact(key="k2", size_bytes=2**40)), notified_at=NOON),
            id="succeeded",
        ),
        pytest.param(a_succeeded_task(artifacts=()), id="without artifacts"),
        pytest.param(a_failed_task(model="v1-5.safetensors"), id="failed"),
        pytest.param(
            a_task(
                options=TaskOptions(priority=9, timeout_s=60, output_format=OutputFormat.WEBP, group="tenant"),
                timeout=timedelta(seconds=60),
                context=["", None, {"é": 1.5, "": [True]}],
            ),
            id="with options",
        ),
        pytest.param(a_task(context=None, prefix=""), id="with an empty prefix and no context"),
    ],
)
def test_a_record_is_read_as_it_was_written(store: TaskStore, task: Task) -> None:
    written = create(store, task)
    assert written == replace(task, revision=1)
    assert store.load(task.id) == written


def test_a_second_record_of_an_id_is_a_conflict(store: TaskStore) -> None:
    create(store, a_task())
    with pytest.raises(RecordConflict):
        create(store, a_task(run="run-2"))


def test_a_save_counts_the_revision(store: TaskStore) -> None:
    task = create(store, a_task())
    saved = store.save(a_queued_task(), expecting=task)
    assert saved.revision == task.revision + 1
    assert store.load(task.id) == saved


def test_a_save_over_a_newer_record_is_a_conflict(store: TaskStore) -> None:
    task = create(store, a_task())
    saved = store.save(a_queued_task(), expecting=task)
    with pytest.raises(RecordConflict):
        store.save(a_running_task(), expecting=task)
    assert store.load(task.id) == saved


def test_a_save_without_a_record_is_a_conflict(store: TaskStore) -> None:
    with pytest.raises(RecordConflict):
        store.save(a_queued_task(), expecting=a_task(revision=1))


def test_a_save_forgets_what_the_task_no_longer_has(store: TaskStore) -> None:
    task = create(store, a_running_task())
    store.save(replace(task, claim=None, started_at=None), expecting=task)
    loaded = store.load(task.id)
    assert loaded is not None
    assert loaded.claim is None
    assert loaded.started_at is None


def test_a_new_run_replaces_the_ended_one(store: TaskStore) -> None:
    ended = create(store, a_succeeded_task())
    rerun = store.create(a_task(run="run-2"), replacing=ended, now=NOON)
    assert store.load(ended.id) == rerun


def test_a_new_run_goes_on_counting_revisions(store: TaskStore) -> None:
    """A late write of the old run must never find its revision again."""
    ended = create(store, a_succeeded_task())
    rerun = store.create(a_task(run="run-2"), replacing=ended, now=NOON)
    assert rerun.revision == ended.revision + 1
    with pytest.raises(RecordConflict):
        store.save(replace(ended, notified_at=NOON), expecting=ended)


def test_a_save_of_another_run_is_a_conflict_whatever_its_revision(store: TaskStore) -> None:
    create(store, a_task(run="run-2"))
    with pytest.raises(RecordConflict):
        store.save(a_queued_task(), expecting=a_task(run="run-1", revision=1))


def test_replacing_a_record_that_has_changed_is_a_conflict(store: TaskStore) -> None:
    ended = create(store, a_succeeded_task())
    store.save(replace(ended, notified_at=NOON), expecting=ended)
    with pytest.raises(RecordConflict):
        store.create(a_task(run="run-2"), replacing=ended, now=NOON)


def test_replacing_a_record_that_is_gone_is_a_conflict(store: TaskStore) -> None:
    with pytest.raises(RecordConflict):
        store.create(a_task(run="run-2"), replacing=a_succeeded_task(revision=1), now=NOON)


def test_a_record_past_its_lifetime_is_gone(store: TaskStore, clock: FakeClock) -> None:
    create(store, a_succeeded_task())
    clock.advance(RECORD_LIFETIME - timedelta(seconds=1))
    assert store.load("test-t2i") is not None
    clock.advance(timedelta(seconds=1))
    assert store.load("test-t2i") is None


def test_an_id_is_free_again_when_its_record_is_past_its_lifetime(store: TaskStore) -> None:
    create(store, a_succeeded_task())
    later = NOON + RECORD_LIFETIME
    task = a_task(run="run-2", created_at=later)
    assert store.create(task, replacing=None, now=later).run == "run-2"


def test_an_idempotency_key_names_its_task(store: TaskStore) -> None:
    task = create(store, a_task(), key="key-1")
    record = store.idempotency_record("key-1", now=NOON)
    assert record is not None
    assert (record.task_id, record.run, record.fingerprint) == (task.id, task.run, task.fingerprint)


def test_an_unknown_idempotency_key_names_nothing(store: TaskStore) -> None:
    assert store.idempotency_record("key-1", now=NOON) is None


def test_a_used_idempotency_key_refuses_the_task_with_it(store: TaskStore) -> None:
    create(store, a_task(), key="key-1")
    with pytest.raises(RecordConflict):
        create(store, a_task(id="other"), key="key-1")
    assert store.load("other") is None


def test_a_refused_task_does_not_use_the_idempotency_key(store: TaskStore) -> None:
    create(store, a_task())
    with pytest.raises(RecordConflict):
        create(store, a_task(run="run-2"), key="key-1")
    assert store.idempotency_record("key-1", now=NOON) is None


def test_an_idempotency_key_lives_a_day(store: TaskStore) -> None:
    create(store, a_task(), key="key-1")
    later = NOON + IDEMPOTENCY_LIFETIME
    assert store.idempotency_record("key-1", now=later - timedelta(seconds=1)) is not None
    assert store.idempotency_record("key-1", now=later) is None
    store.create(a_task(id="other"), replacing=None, idempotency_key="key-1", now=later)
    record = store.idempotency_record("key-1", now=later)
    assert record is not None
    assert record.task_id == "other"


def test_an_idempotency_key_may_be_any_text(store: TaskStore) -> None:
    key = "ключ " * 1000
    create(store, a_task(), key=key)
    assert store.idempotency_record(key, now=NOON) is not None


def test_of_racing_creations_exactly_one_wins(store: TaskStore) -> None:
    tasks = [a_task(run=f"run-{number}") for number in range(RACERS)]
    assert wins([lambda task=task: create(store, task) for task in tasks]) == 1  # type: ignore[misc]


def test_of_racing_creations_with_one_key_exactly_one_wins(store: TaskStore) -> None:
    tasks = [a_task(id=f"task-{number}") for number in range(RACERS)]
    assert wins([lambda task=task: create(store, task, key="key-1") for task in tasks]) == 1  # type: ignore[misc]
    record = store.idempotency_record("key-1", now=NOON)
    assert record is not None
    assert [task.id for task in tasks if store.load(task.id)] == [record.task_id]


def test_of_racing_saves_exactly_one_wins(store: TaskStore) -> None:
    task = create(store, a_queued_task())
    assert wins([lambda: store.save(a_running_task(), expecting=task)] * RACERS) == 1


def test_a_task_is_due_when_its_time_has_come(store: TaskStore) -> None:
    task = create(store, a_task())
    due = transitions.due_at(task)
    assert due is not None
    assert store.due(now=due - timedelta(microseconds=1), limit=10) == []
    assert store.due(now=due, limit=10) == [task.id]


def test_the_longest_waiting_are_due_first(store: TaskStore) -> None:
    for number in (3, 1, 5, 2, 4, 0):
        create(store, a_task(id=f"task-{number}", expires_at=NOON + timedelta(seconds=number)))
    later = NOON + timedelta(hours=1)
    assert store.due(now=later, limit=10) == [f"task-{number}" for number in range(6)]
    assert store.due(now=later, limit=2) == ["task-0", "task-1"]


def test_undispatched_tasks_are_found_by_their_expiry(store: TaskStore) -> None:
    for number in range(6):
        expires_at = NOON + timedelta(seconds=number)
        make = a_queued_task if number == 3 else a_task
        create(store, make(id=f"task-{number}", expires_at=expires_at))
    part = store.undispatched(after=NOON, until=NOON + timedelta(seconds=4), limit=100)
    assert [task.task_id for task in part.undispatched] == ["task-1", "task-2", "task-4"]
    assert part.undispatched[0].expires_at == NOON + timedelta(seconds=1)
    assert (part.count, part.until) == (4, NOON + timedelta(seconds=4))


def test_an_ended_task_is_not_undispatched(store: TaskStore) -> None:
    create(store, a_succeeded_task(dispatched_at=None))
    part = store.undispatched(after=NOON, until=NOON + timedelta(days=30), limit=100)
    assert (part.undispatched, part.count) == ((), 1)


def test_looked_through_part_by_part_none_is_left_out(store: TaskStore) -> None:
    for number in range(30):
        create(store, a_task(id=f"task-{number}", expires_at=NOON + timedelta(seconds=number)))
    after, until = NOON - timedelta(seconds=1), NOON + timedelta(seconds=25)
    found = []
    parts = 0
    while after < until:
        part = store.undispatched(after=after, until=until, limit=7)
        found += [task.task_id for task in part.undispatched]
        assert part.until > after
        after = part.until
        parts += 1
    assert found == [f"task-{number}" for number in range(26)]
    assert parts > 2


def test_the_place_of_the_sweep_is_kept(store: TaskStore) -> None:
    assert store.sweep_mark() is None
    for moment in (NOON, NOON + timedelta(microseconds=1)):
        store.set_sweep_mark(moment)
        assert store.sweep_mark() == moment


def test_a_task_that_wants_nothing_is_never_due(store: TaskStore) -> None:
    task = create(store, a_succeeded_task())
    store.save(replace(task, notified_at=NOON), expecting=task)
    assert store.due(now=NOON + timedelta(days=20), limit=10) == []


def test_a_key_can_stand_for_a_task_that_exists(store: TaskStore) -> None:
    task = create(store, a_task())
    store.remember_key("key-2", task, now=NOON)
    record = store.idempotency_record("key-2", now=NOON)
    assert record is not None
    assert (record.task_id, record.run) == (task.id, task.run)


def test_a_used_key_cannot_stand_for_another_task(store: TaskStore) -> None:
    task = create(store, a_task(), key="key-1")
    with pytest.raises(RecordConflict):
        store.remember_key("key-1", task, now=NOON)
