"""`group` and `priority`: the message group that a task's messages travel with."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from builders import NOON, a_task
from sdfleet.domain.task import TaskOptions
from sdfleet.domain.wire import messages
from sdfleet_lambdas import dead_letters, submission, sweeper
from service_harness import Harness, a_request, sqs_event


@pytest.fixture
def harness() -> Harness:
    harness = Harness()
    harness.requests.subscribe(harness.queues["sdruntime"])
    return harness


def groups(harness: Harness) -> list[str | None]:
    queue = harness.queues["sdruntime"]
    received = queue.receive(max_messages=10, wait=timedelta(0), visibility=timedelta(seconds=30))
    return [message.group for message in received]


def test_a_task_reaches_its_queue_with_its_group(harness: Harness) -> None:
    harness.submit(group="tenant-a")
    assert groups(harness) == ["tenant-a"]


def test_a_task_without_a_group_has_none(harness: Harness) -> None:
    harness.submit(priority=5)
    assert groups(harness) == [None]


def test_an_urgent_task_does_not_queue_with_the_bulk_of_its_group(harness: Harness) -> None:
    harness.submit(id="bulk", group="tenant-a")
    harness.submit(id="urgent", group="tenant-a", priority=1)
    harness.submit(id="as-urgent", group="tenant-a", priority=9)
    assert groups(harness) == ["tenant-a", "tenant-a+urgent", "tenant-a+urgent"]


def test_the_longest_group_fits_into_a_message_group(harness: Harness) -> None:
    harness.submit(group="~" * 120, priority=1)
    (group,) = groups(harness)
    assert group is not None
    assert len(group) <= 128


@pytest.mark.parametrize("group", ["x" * 121, "two words", "tab\t", "ü", ""])
def test_a_group_that_sqs_would_refuse_is_refused_at_the_door(harness: Harness, group: str) -> None:
    assert harness.post(a_request(group=group)).bad_paths == ["task.metadata.group"]


def test_the_sweeper_keeps_the_group(harness: Harness) -> None:
    task = harness.tasks.create(a_task(options=TaskOptions(group="tenant-a")), replacing=None, now=NOON)
    harness.artifacts.put(task.content_location, b'{"prompt": "A dog"}', content_type="application/json")
    harness.clock.advance(timedelta(minutes=2))
    sweeper.handle({}, harness.services)
    assert groups(harness) == ["tenant-a"]


def test_a_direct_message_gets_the_group_that_it_names(harness: Harness) -> None:
    metadata = {"id": "a", "runtime": "sdruntime", "tasktype": "text-to-image", "group": "tenant-a"}
    body = json.dumps({"metadata": metadata, "content": {"prompt": "A dog"}})
    submission.handle(sqs_event(body), harness.services)
    assert groups(harness) == ["tenant-a"]


def test_a_message_sent_back_from_the_dead_letters_keeps_its_group(harness: Harness) -> None:
    harness.submit(group="tenant-a")
    groups(harness)
    harness.clock.advance(timedelta(minutes=1))
    body = messages.write_message(harness.task(), {"prompt": "A dog"})
    harness.dead_letter_queues["sdruntime-dead-letters"].send(body)
    dead_letters.collect(harness.services, until=harness.clock.now() + timedelta(seconds=45))
    assert groups(harness) == ["tenant-a", "tenant-a"]
