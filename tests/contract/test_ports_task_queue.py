"""TaskQueue, in memory and on SQS."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.errors import LeaseLost, ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.ports import QueueCounts, QueueMessage, TaskQueue

NOTHING = timedelta(0)
LEASE = timedelta(seconds=30)


def receive(queue: TaskQueue, *, max_messages: int = 1, visibility: timedelta = LEASE) -> list[QueueMessage]:
    return queue.receive(max_messages=max_messages, wait=NOTHING, visibility=visibility)


def test_a_message_arrives_as_it_was_sent(queue: TaskQueue) -> None:
    queue.send('{"prompt": "ein Leuchtturm, 灯台"}')
    (message,) = receive(queue)
    assert message.body == '{"prompt": "ein Leuchtturm, 灯台"}'
    assert message.receive_count == 1


def test_an_empty_queue_gives_nothing(queue: TaskQueue) -> None:
    assert receive(queue) == []


def test_a_received_message_is_invisible_to_others(queue: TaskQueue) -> None:
    queue.send("a")
    receive(queue)
    assert receive(queue) == []


def test_no_more_messages_come_than_were_asked_for(queue: TaskQueue) -> None:
    for body in "abc":
        queue.send(body)
    assert len(receive(queue, max_messages=2)) == 2
    assert len(receive(queue, max_messages=2)) == 1


def test_extending_by_nothing_makes_the_message_visible_at_once(queue: TaskQueue) -> None:
    queue.send("a")
    (first,) = receive(queue)
    queue.extend(first.receipt, NOTHING)
    (second,) = receive(queue)
    assert second.message_id == first.message_id
    assert second.receive_count == 2


def test_every_receive_has_its_own_receipt(queue: TaskQueue) -> None:
    queue.send("a")
    (first,) = receive(queue)
    queue.extend(first.receipt, NOTHING)
    (second,) = receive(queue)
    assert second.receipt != first.receipt


def test_a_deleted_message_does_not_come_back(queue: TaskQueue) -> None:
    queue.send("a")
    (message,) = receive(queue, visibility=NOTHING)
    queue.delete(message.receipt)
    assert receive(queue) == []
    assert queue.depth() == 0


def test_deleting_twice_is_no_error(queue: TaskQueue) -> None:
    queue.send("a")
    (message,) = receive(queue)
    queue.delete(message.receipt)
    queue.delete(message.receipt)
    assert queue.depth() == 0


def test_extending_a_deleted_message_is_a_lost_lease(queue: TaskQueue) -> None:
    queue.send("a")
    (message,) = receive(queue)
    queue.delete(message.receipt)
    with pytest.raises(LeaseLost):
        queue.extend(message.receipt, LEASE)


def test_depth_counts_what_is_in_flight_too(queue: TaskQueue) -> None:
    queue.send("a")
    queue.send("b")
    receive(queue)
    assert queue.depth() == 2


def test_receipts_and_bodies_stay_out_of_logs() -> None:
    assert "a prompt" not in repr(QueueMessage("id", "receipt", "a prompt"))


def test_a_message_comes_back_when_its_visibility_has_passed() -> None:
    clock = FakeClock()
    queue = MemoryTaskQueue(clock)
    queue.send("a")
    receive(queue)
    clock.advance(LEASE)
    (message,) = receive(queue)
    assert message.receive_count == 2


def test_an_extension_counts_from_now() -> None:
    clock = FakeClock()
    queue = MemoryTaskQueue(clock)
    queue.send("a")
    (message,) = receive(queue)
    clock.advance(LEASE - timedelta(seconds=1))
    queue.extend(message.receipt, LEASE)
    clock.advance(LEASE - timedelta(seconds=1))
    assert receive(queue) == []
    clock.advance(timedelta(seconds=1))
    assert len(receive(queue)) == 1


def test_a_lease_is_lost_when_its_visibility_has_passed() -> None:
    clock = FakeClock()
    queue = MemoryTaskQueue(clock)
    queue.send("a")
    (message,) = receive(queue)
    clock.advance(LEASE)
    with pytest.raises(LeaseLost):
        queue.extend(message.receipt, LEASE)


def test_no_lease_lasts_longer_than_twelve_hours() -> None:
    clock = FakeClock()
    queue = MemoryTaskQueue(clock)
    queue.send("a")
    (message,) = receive(queue, visibility=timedelta(hours=6))
    clock.advance(timedelta(hours=5))
    queue.extend(message.receipt, timedelta(hours=7))
    with pytest.raises(LeaseLost, match="12 hours"):
        queue.extend(message.receipt, timedelta(hours=7, seconds=1))


def test_the_receipt_of_an_earlier_receive_is_a_lost_lease() -> None:
    clock = FakeClock()
    queue = MemoryTaskQueue(clock)
    queue.send("a")
    (first,) = receive(queue)
    clock.advance(LEASE)
    receive(queue)
    with pytest.raises(LeaseLost):
        queue.extend(first.receipt, LEASE)


def test_deleting_by_the_receipt_of_an_earlier_receive_leaves_the_message() -> None:
    clock = FakeClock()
    queue = MemoryTaskQueue(clock)
    queue.send("a")
    (first,) = receive(queue)
    clock.advance(LEASE)
    receive(queue)
    queue.delete(first.receipt)
    assert queue.bodies() == ["a"]


def test_a_delayed_message_waits() -> None:
    clock = FakeClock()
    queue = MemoryTaskQueue(clock, delay=timedelta(seconds=5))
    queue.send("a")
    assert receive(queue) == []
    assert queue.depth() == 1
    clock.advance(timedelta(seconds=5))
    assert len(receive(queue)) == 1


def test_a_message_received_too_often_moves_to_the_dead_letters() -> None:
    clock = FakeClock()
    dead_letters = MemoryTaskQueue(clock)
    queue = MemoryTaskQueue(clock, dead_letters=dead_letters, max_receive_count=2)
    queue.send("a")
    for _ in range(2):
        (message,) = receive(queue, visibility=NOTHING)
    assert receive(queue) == []
    (dead,) = receive(dead_letters)
    assert (dead.message_id, dead.body) == (message.message_id, "a")
    assert queue.depth() == 0


def test_a_waiting_receive_ends_when_a_message_comes() -> None:
    queue = MemoryTaskQueue(FakeClock(), longest_wait=timedelta(seconds=20))
    queue.send("a")
    started = time.monotonic()
    assert len(queue.receive(max_messages=10, wait=timedelta(seconds=20), visibility=LEASE)) == 1
    assert time.monotonic() - started < 10


def test_a_message_received_too_often_leaves_the_sqs_queue(clients: Clients, queue_url: str) -> None:
    dead_url = clients.sqs.create_queue(QueueName=f"{queue_url.rsplit('/', 1)[-1]}-dead")["QueueUrl"]
    attributes = clients.sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]
    policy = json.dumps({"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": 2})
    clients.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": policy})
    queue, dead_letters = SqsTaskQueue(clients.sqs, queue_url), SqsTaskQueue(clients.sqs, dead_url)
    queue.send("a")
    for _ in range(3):
        receive(queue, visibility=NOTHING)
    assert [message.body for message in receive(dead_letters)] == ["a"]


def test_a_queue_that_is_not_there_is_unavailable(clients: Clients, queue_url: str) -> None:
    with pytest.raises(ServiceUnavailable):
        SqsTaskQueue(clients.sqs, f"{queue_url}-gone").depth()


def test_messages_are_counted_by_whether_somebody_has_them(queue: TaskQueue) -> None:
    for body in ("one", "two", "three"):
        queue.send(body)
    queue.receive(max_messages=1, wait=timedelta(0), visibility=timedelta(minutes=1))
    assert queue.counts() == QueueCounts(visible=2, in_flight=1)
