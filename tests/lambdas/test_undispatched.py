from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from builders import NOON, a_queued_task, a_task
from sdfleet.domain.task import TASK_EXPIRY, Task
from sdfleet.ports import UnfinishedPart
from sdfleet_lambdas import undispatched
from service_harness import Harness

A_MINUTE = timedelta(minutes=1)


@pytest.fixture
def harness() -> Harness:
    return Harness()


class Publisher:
    """Takes every task but those of `broken`; one that was taken is dispatched, as its record says then."""

    def __init__(self, harness: Harness, *broken: str, seconds: float = 0) -> None:
        self._harness = harness
        self.broken = set(broken)
        self.seconds = seconds
        self.asked: list[str] = []

    def __call__(self, task_id: str) -> bool:
        self.asked.append(task_id)
        self._harness.clock.advance(timedelta(seconds=self.seconds))
        if task_id in self.broken:
            return False
        task = self._harness.tasks.load(task_id)
        assert task is not None
        self._harness.tasks.save(a_queued_task(id=task_id, created_at=task.created_at), expecting=task)
        return True


def accepted(harness: Harness, task_id: str, *, queued: bool = False, **changes: Any) -> Task:
    now = harness.clock.now()
    make = a_queued_task if queued else a_task
    changes = {"created_at": now, "expires_at": now + TASK_EXPIRY, **changes}
    return harness.tasks.create(make(id=task_id, **changes), replacing=None, now=now)


def sweep(harness: Harness, publisher: Publisher, *, after: timedelta = A_MINUTE) -> list[str]:
    """What a run later than the last by `after` asked to publish."""
    harness.clock.advance(after)
    publisher.asked.clear()
    undispatched.sweep(harness.services, publisher, deadline=harness.clock.now() + timedelta(seconds=45))
    return list(publisher.asked)


class Counting:
    """The task store, and how many records were looked at."""

    def __init__(self, harness: Harness) -> None:
        self._tasks = harness.tasks
        self.seen = 0
        self.marks = 0

    def undispatched(self, **asked: Any) -> UnfinishedPart:
        part = self._tasks.undispatched(**asked)
        self.seen += part.count
        return part

    def set_sweep_mark(self, until: Any) -> None:
        self.marks += 1
        self._tasks.set_sweep_mark(until)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tasks, name)


def test_what_was_accepted_a_minute_ago_is_published_the_oldest_first(harness: Harness) -> None:
    for task_id in ("b", "a", "c"):
        accepted(harness, task_id, queued=task_id == "c")
        harness.clock.advance(timedelta(seconds=1))
    assert sweep(harness, Publisher(harness)) == ["b", "a"]


def test_a_waiting_task_is_looked_at_twice_and_no_more(harness: Harness) -> None:
    accepted(harness, "a", queued=True)
    counting = Counting(harness)
    harness.rewire(tasks=counting)
    publisher = Publisher(harness)
    for _ in range(10):
        # Without another one that waits the mark has no reason to move.
        accepted(harness, f"next-{harness.clock.now()}", queued=True)
        sweep(harness, publisher)
    assert counting.seen <= 2 * 11


def test_a_record_that_the_index_shows_a_minute_late_is_found(harness: Harness) -> None:
    accepted(harness, "seen", queued=True)
    publisher = Publisher(harness)
    sweep(harness, publisher)
    accepted(
        harness, "late", created_at=NOON - timedelta(seconds=30), expires_at=NOON + TASK_EXPIRY - timedelta(seconds=30)
    )
    assert sweep(harness, publisher) == ["late"]


def test_one_that_cannot_be_published_is_tried_in_each_run_and_holds_up_no_other(harness: Harness) -> None:
    accepted(harness, "bad")
    publisher = Publisher(harness, "bad")
    assert sweep(harness, publisher) == ["bad"]
    for number in range(3):
        accepted(harness, f"good-{number}")
        assert sweep(harness, publisher) == ["bad", f"good-{number}"]


def test_after_an_outage_of_the_topic_all_go_out(harness: Harness) -> None:
    ids = [f"t-{number}" for number in range(5)]
    publisher = Publisher(harness, *ids)
    for task_id in ids:
        accepted(harness, task_id)
        sweep(harness, publisher, after=timedelta(minutes=10))
    publisher.broken.clear()
    assert sweep(harness, publisher) == ids


def test_after_a_day_of_trying_one_waits_for_its_expiry(harness: Harness) -> None:
    accepted(harness, "bad")
    publisher = Publisher(harness, "bad")
    for _ in range(24):
        assert sweep(harness, publisher, after=timedelta(hours=1)) == ["bad"]
    accepted(harness, "next", queued=True)
    sweep(harness, publisher, after=timedelta(hours=1))
    assert sweep(harness, publisher) == []


def test_the_sweepers_own_outage_of_days_loses_none(harness: Harness) -> None:
    accepted(harness, "a", queued=True)
    publisher = Publisher(harness)
    sweep(harness, publisher)
    accepted(harness, "b")
    harness.clock.advance(timedelta(days=2))
    accepted(harness, "c")
    assert sweep(harness, publisher, after=timedelta(days=1)) == ["b", "c"]


def test_a_run_out_of_time_is_taken_up_where_it_ended(harness: Harness) -> None:
    for number in range(6):
        accepted(harness, f"t-{number}")
        harness.clock.advance(timedelta(seconds=1))
    publisher = Publisher(harness, seconds=20)
    assert sweep(harness, publisher) == ["t-0", "t-1", "t-2"]
    assert sweep(harness, publisher) == ["t-3", "t-4", "t-5"]


def test_pages_are_looked_through_to_the_end(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undispatched, "PAGE", 2)
    for number in range(7):
        accepted(harness, f"t-{number}", queued=number < 5)
        harness.clock.advance(timedelta(seconds=1))
    assert sweep(harness, Publisher(harness)) == ["t-5", "t-6"]


def test_with_nothing_unfinished_nothing_is_written(harness: Harness) -> None:
    counting = Counting(harness)
    harness.rewire(tasks=counting)
    publisher = Publisher(harness)
    for _ in range(5):
        sweep(harness, publisher)
    assert counting.marks == 0
