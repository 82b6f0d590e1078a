"""Thousands of messages that nobody should send: none crashes its reader, none is dropped, none is quoted in a log.

Which task a message names decides what "not dropped" means: kept as a dead letter, or the end of that task.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest

from hostile_messages import CANARY, hostile_contents, hostile_messages
from scheduler_harness import Harness as Instance
from sdfleet.domain.task import TaskType
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.messages import TaskMessage
from sdfleet.errors import MalformedMessage
from sdfleet_lambdas import dead_letters, submission
from sdfleet_scheduler.runtimes.test_pattern import TestPatternRuntime
from service_harness import Harness as Service
from service_harness import sqs_event

COUNT = 1_000
SEED = 20261102
#: A message that cannot be run now comes back within this.
LONGEST_DELAY = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def logs_hold_no_prompt(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing that is logged or counted quotes a message, at any level."""
    caplog.set_level(logging.DEBUG)
    yield
    lines = [str(record.__dict__) for record in caplog.records]
    assert [line for line in lines if CANARY in line] == []
    assert CANARY not in capsys.readouterr().out
    crashes = {record.message for record in caplog.records if record.levelno >= logging.ERROR}
    assert crashes == set()


def read(body: str) -> TaskMessage | None:
    with suppress(MalformedMessage):
        return messages.read_message(body)
    return None


def is_of_the_task(body: str) -> bool:
    message = read(body)
    return message is not None and message.task_id == "test-t2i"


async def test_an_instance_keeps_what_it_cannot_read_and_goes_on() -> None:
    instance = Instance()
    bodies = hostile_messages(SEED, COUNT)
    for body in bodies:
        instance.queue.send(body)
    instance.submit(id="good")

    while instance.queue.depth():
        await instance.run_next()

    # Those that name the task and its run are deliveries of a task that has no record: unknown, so kept as well.
    kept = [url for url in instance.artifacts.urls() if "/dead-letters/" in url]
    assert len(kept) == COUNT
    letters = [json.loads(instance.artifacts.get(url, max_bytes=10**7))["body"] for url in kept]
    assert sorted(letters) == sorted(bodies)
    assert {notice["id"] for notice in instance.notices() if notice["result"]} == {"good"}
    assert instance.task("good").status == "succeeded"


async def test_a_task_ends_once_whatever_else_comes_in_its_name() -> None:
    instance = Instance()
    bodies = hostile_messages(SEED + 1, COUNT)
    instance.submit()
    for body in bodies:
        instance.queue.send(body)

    while instance.queue.depth():
        await instance.run_next()

    kept = [url for url in instance.artifacts.urls() if "/dead-letters/" in url]
    assert len(kept) == len([body for body in bodies if not is_of_the_task(body)])
    assert instance.task().status == "succeeded"
    assert len(instance.runtime.jobs) == 1


async def test_accepted_tasks_with_hostile_contents_end_once_each() -> None:
    instance = Instance()
    instance.runtime = TestPatternRuntime()  # type: ignore[assignment]
    instance.health._runtime = instance.runtime
    instance.build()
    tasktypes = list(TaskType)
    ids = []
    for number, content in enumerate(hostile_contents(SEED + 2, 150)):
        tasktype = tasktypes[number % len(tasktypes)]
        task = instance.submit(id=f"t-{number}", tasktype=tasktype, content=content, max_attempts=1)
        ids.append(task.id)

    for _ in range(5):
        with suppress(ValueError):
            while True:
                await instance.run_next()
        instance.clock.advance(LONGEST_DELAY)  # type: ignore[attr-defined]

    assert instance.queue.depth() == 0
    assert all(instance.task(task_id).is_terminal for task_id in ids)
    assert sorted(notice["id"] for notice in instance.notices()) == sorted(ids)
    codes = Counter(notice.get("error", {}).get("code") for notice in instance.notices())
    # The adapter said what was wrong; none of it surprised us.
    assert codes[None] > 0
    assert codes["internal_error"] == 0
    assert len(codes) > 2


def test_the_submission_handler_answers_or_keeps_every_one() -> None:
    service = Service()
    before = 0
    bodies = hostile_messages(SEED + 3, COUNT, task_id="t-{}")
    for number, body in enumerate(bodies):
        event = sqs_event(body)
        event["Records"][0]["messageId"] = f"m-{number}"
        assert submission.handle(event, service.services) == {"batchItemFailures": []}
        # Accepted, found again, or kept.
        is_kept = len([url for url in service.artifacts.urls() if "/dead-letters/" in url]) > before
        before += is_kept
        assert is_kept or service.requests.published

    assert before > COUNT / 2
    assert len(service.tasks.tasks()) > COUNT / 50
    for publication in service.requests.published:
        # What was accepted can be read by the instances: nothing is lost behind the door.
        message = messages.read_message(publication.body)
        assert service.tasks.load(message.task_id) is not None


@pytest.mark.parametrize("path", ["/v1alpha2", "/v1alpha1", "/task", "/v1alpha2/uploads"])
def test_the_api_answers_every_one(path: str) -> None:
    service = Service()
    for body in hostile_messages(SEED + 5, COUNT // 4, task_id="t-{}"):
        assert service.post(body, path).status in (200, 400, 409, 413)


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT", "\ud800"])
def test_the_api_answers_every_path(method: str) -> None:
    service = Service()
    for text in hostile_messages(SEED + 6, COUNT // 10):
        for path in (f"/v1alpha2/tasks/{text}", f"/{text}", text):
            assert service.call(method, path, queryStringParameters={"taskId": text}).status in (400, 404, 405)


def test_the_dead_letters_consumer_answers_or_keeps_every_one() -> None:
    service = Service()
    bodies = hostile_messages(SEED + 4, COUNT)
    queue = service.dead_letter_queues["sdruntime-dead-letters"]
    for body in bodies:
        queue.send(body)
    assert dead_letters.collect(service.services, until=service.clock.now() + timedelta(seconds=45)) == COUNT
    assert queue.depth() == 0

    assert len(service.kept()) == COUNT
    assert all(queue.depth() == 0 for queue in service.queues.values())
