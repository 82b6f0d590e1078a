"""How the sweeper goes through the dead-letter queues; what becomes of a letter is in test_dead_letter_queues.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from builders import NOON, a_queued_task
from sdfleet.domain.wire import messages
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.ports import QueueMessage
from sdfleet_lambdas import dead_letters
from service_harness import Fuse, Fused, Harness

TIME = timedelta(seconds=45)
FLEET, OTHER, SUBMISSIONS = "sdruntime-dead-letters", "sddynamic-dead-letters", "test-submissions-dead-letters"


@pytest.fixture
def harness() -> Harness:
    return Harness()


def letter(harness: Harness, name: str, queue: str = FLEET) -> None:
    harness.dead_letter_queues[queue].take_over(name, f"letter {name}, which nobody can read")


def collect(harness: Harness) -> int:
    return dead_letters.collect(harness.services, until=harness.clock.now() + TIME)


def waiting(harness: Harness) -> int:
    return sum(queue.depth() for queue in harness.dead_letter_queues.values())


@dataclass
class Watched:
    """A queue that remembers how it was asked."""

    queue: MemoryTaskQueue
    asked: list[tuple[int, float, float]]
    before: Callable[[], None] = lambda: None

    def receive(self, *, max_messages: int, wait: timedelta, visibility: timedelta) -> list[QueueMessage]:
        self.before()
        self.asked.append((max_messages, wait.total_seconds(), visibility.total_seconds()))
        return self.queue.receive(max_messages=max_messages, wait=wait, visibility=visibility)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)


def watched(harness: Harness, queue: str = FLEET, **changes: Any) -> Watched:
    one = Watched(harness.dead_letter_queues[queue], [], **changes)
    harness.rewire(dead_letter_queues={**harness.services.dead_letter_queues, queue: one})
    return one


def test_letters_of_every_queue_are_settled_and_deleted(harness: Harness) -> None:
    for queue in (FLEET, OTHER, SUBMISSIONS):
        letter(harness, f"m-{queue}", queue)
    assert collect(harness) == 3
    assert waiting(harness) == 0
    assert {kept["queue"] for kept in harness.kept()} == {FLEET, OTHER, SUBMISSIONS}


def test_a_burst_is_settled_in_one_run(harness: Harness) -> None:
    for number in range(300):
        letter(harness, f"m-{number}")
    assert collect(harness) == 300
    assert len(harness.kept()) == 300


def test_an_empty_queue_is_asked_once_and_nobody_waits_for_it(harness: Harness) -> None:
    queue = watched(harness)
    assert collect(harness) == 0
    assert [wait for _, wait, _ in queue.asked] == [0]


def test_a_queue_that_had_a_letter_is_asked_until_all_its_servers_say_that_it_is_empty(harness: Harness) -> None:
    queue = watched(harness)
    for number in range(11):
        letter(harness, f"m-{number}")
    collect(harness)
    assert [wait for _, wait, _ in queue.asked] == [0, 1, 1]


def test_a_letter_is_hidden_no_longer_than_to_the_next_run_and_no_shorter_than_this_one(harness: Harness) -> None:
    queue = watched(harness)
    collect(harness)
    ((_, _, visible_after_s),) = queue.asked
    assert TIME.total_seconds() < visible_after_s < 60


def test_a_burst_in_one_queue_does_not_hold_up_the_letters_of_another(harness: Harness) -> None:
    for number in range(50):
        letter(harness, f"m-{number}", SUBMISSIONS)
    letter(harness, "m-alone")

    def a_long_time() -> None:
        harness.clock.advance(timedelta(seconds=20))

    watched(harness, SUBMISSIONS, before=a_long_time)
    collect(harness)
    assert harness.dead_letter_queues[FLEET].depth() == 0
    assert harness.dead_letter_queues[SUBMISSIONS].depth() > 0


def test_when_the_time_is_up_the_rest_is_left_to_the_next_run(harness: Harness) -> None:
    class Slow(Fuse):
        def step(self, name: str) -> None:
            harness.clock.advance(timedelta(seconds=10))

    for number in range(5):
        letter(harness, f"m-{number}")
    harness.rewire(artifacts=Fused(harness.artifacts, Slow(), "put"))

    assert collect(harness) == 3
    harness.clock.advance(dead_letters.VISIBILITY)
    assert collect(harness) == 2
    assert waiting(harness) == 0


def test_one_bad_letter_stays_and_does_not_stop_the_others(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        letter(harness, f"m-{number}")
    harness.rewire(artifacts=Fused(harness.artifacts, Fuse(at=0, error=RuntimeError("a bug")), "put"))

    assert collect(harness) == 2
    assert waiting(harness) == 1
    assert "message.failed" in [record.message for record in caplog.records]


def test_a_letter_that_failed_is_not_tried_again_in_the_same_run(harness: Harness) -> None:
    letter(harness, "m-1")
    fuse = Fuse(at=0)
    harness.rewire(artifacts=Fused(harness.artifacts, fuse, "put"))
    collect(harness)
    assert len(fuse.steps) == 1


def test_a_letter_is_deleted_only_after_it_was_kept(harness: Harness) -> None:
    letter(harness, "m-1")
    harness.rewire(artifacts=Fused(harness.artifacts, Fuse(at=0), "put"))
    assert (collect(harness), waiting(harness)) == (0, 1)
    harness.clock.advance(dead_letters.VISIBILITY)
    assert (collect(harness), waiting(harness), len(harness.kept())) == (1, 0, 1)


def test_a_crash_between_settling_and_deleting_is_repeated_harmlessly(harness: Harness) -> None:
    task = harness.tasks.create(a_queued_task(attempt=4), replacing=None, now=NOON)
    harness.dead_letter_queues[FLEET].take_over("m-1", messages.write_message(task, {"prompt": "A dog"}))
    queue: Any = harness.dead_letter_queues[FLEET]
    fused = {**harness.dead_letter_queues, FLEET: Fused(queue, Fuse(at=0), "delete")}
    harness.rewire(dead_letter_queues=fused)

    assert (collect(harness), waiting(harness)) == (0, 1)
    harness.clock.advance(dead_letters.VISIBILITY)
    assert (collect(harness), waiting(harness)) == (1, 0)
    assert [notice["status"] for notice in harness.notices()] == ["failed"]
    assert len(harness.kept()) == 1


@pytest.mark.parametrize("error", [ServiceUnavailable("no answer"), RuntimeError("a bug")])
def test_a_queue_that_does_not_answer_does_not_hold_up_the_others(harness: Harness, error: Exception) -> None:
    broken: Any = Fused(harness.dead_letter_queues[SUBMISSIONS], Fuse(at=0, error=error), "receive")
    harness.rewire(dead_letter_queues={**harness.dead_letter_queues, SUBMISSIONS: broken})
    letter(harness, "m-1")
    assert collect(harness) == 1


def test_what_cannot_be_read_is_kept_even_while_the_records_are_away(harness: Harness) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise ServiceUnavailable("no answer")

    tasks: Any = Away()
    letter(harness, "m-unreadable")
    harness.dead_letter_queues[FLEET].take_over(
        "m-readable", json.dumps({"metadata": {"id": "a", "run": "r", "runtime": "sdruntime"}, "content": {}})
    )
    harness.rewire(tasks=tasks)
    collect(harness)
    assert harness.kept()[0]["body"].startswith("letter m-unreadable")
