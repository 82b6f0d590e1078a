from __future__ import annotations

import json
from datetime import timedelta

import pytest

from builders import NOON
from sdfleet.domain.wire.answers import CALLBACK_ID, CALLBACK_URL
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet_cli.given_up import GivenUp, given_up, redeliver


def an_envelope(task_id: str, url: str = "https://user.example.com:8443/in?token=hidden") -> str:
    values = {CALLBACK_URL: url, CALLBACK_ID: f"msg_{task_id}", "id": task_id}
    attributes = {name: {"Type": "String", "Value": value} for name, value in values.items()}
    return json.dumps({"Type": "Notification", "Message": "{}", "MessageAttributes": attributes})


@pytest.fixture
def dead_letters() -> MemoryTaskQueue:
    return MemoryTaskQueue(FakeClock(NOON))


@pytest.fixture
def callbacks() -> MemoryTaskQueue:
    return MemoryTaskQueue(FakeClock(NOON))


def bodies(queue: MemoryTaskQueue) -> list[str]:
    received = queue.receive(max_messages=10, wait=timedelta(0), visibility=timedelta(seconds=60))
    return [message.body for message in received]


def test_a_list_names_task_and_host_and_not_what_the_address_hides(dead_letters: MemoryTaskQueue) -> None:
    dead_letters.send(an_envelope("a"))
    assert given_up(dead_letters) == [GivenUp("msg_a", "a", "user.example.com:8443")]


def test_what_is_listed_stays(dead_letters: MemoryTaskQueue) -> None:
    for number in range(25):
        dead_letters.send(an_envelope(f"task-{number}"))
    assert len(given_up(dead_letters)) == 25
    assert len(given_up(dead_letters)) == 25


def test_all_are_sent_back_as_they_were(dead_letters: MemoryTaskQueue, callbacks: MemoryTaskQueue) -> None:
    for name in ("a", "b"):
        dead_letters.send(an_envelope(name))
    assert [one.task_id for one in redeliver(dead_letters, callbacks)] == ["a", "b"]
    assert sorted(bodies(callbacks)) == [an_envelope("a"), an_envelope("b")]
    assert dead_letters.depth() == 0


def test_of_named_tasks_only_theirs_are_sent_back(dead_letters: MemoryTaskQueue, callbacks: MemoryTaskQueue) -> None:
    for name in ("a", "b"):
        dead_letters.send(an_envelope(name))
    redeliver(dead_letters, callbacks, only=["b"])
    assert bodies(callbacks) == [an_envelope("b")]
    assert [one.task_id for one in given_up(dead_letters)] == ["a"]


@pytest.mark.parametrize("body", ["no json", "{}"])
def test_what_is_no_callback_is_shown_and_stays(
    dead_letters: MemoryTaskQueue, callbacks: MemoryTaskQueue, body: str
) -> None:
    dead_letters.send(body)
    assert redeliver(dead_letters, callbacks) == []
    assert given_up(dead_letters) == [GivenUp(None, None, None)]


def test_an_address_that_is_none_has_no_host(dead_letters: MemoryTaskQueue) -> None:
    dead_letters.send(an_envelope("a", "https://[broken"))
    assert given_up(dead_letters)[0].host is None
