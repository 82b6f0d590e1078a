"""What one instance does with a message: claims, runs, settles, gives back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from behaviours import fails_permanently, fails_transiently, is_lost
from builders import INBOX_BUCKET, LEASE, NOON, OUTPUT_BUCKET, a_running_task
from scheduler_harness import Harness, ScriptedRuntime, a_generation, succeeds
from sdfleet.domain import names, transitions
from sdfleet.domain.task import Claim, OutputFormat, TaskStatus
from sdfleet.domain.wire import messages
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback


async def test_a_task_is_generated_stored_recorded_notified_and_its_message_deleted() -> None:
    harness = Harness()
    task = harness.submit()
    await harness.run_next()

    suffix = names.derived_suffix(task.id, task.run)
    base = f"s3://{OUTPUT_BUCKET}/output/test-t2i/test-t2i-{suffix}"
    assert sorted(harness.outputs()) == [f"{base}-1.png", f"{base}.out"]
    assert json.loads(harness.artifacts.get(f"{base}.out", max_bytes=1000)) == {
        "images": [f"{base}-1.png"],
        "info": "x",
    }
    ended = harness.task()
    assert (ended.status, ended.attempt, ended.claim) == (TaskStatus.SUCCEEDED, 1, None)
    assert ended.notified_at == NOON
    (notice,) = harness.notices()
    assert notice["result"] is True
    assert notice["status"] == "completed"
    assert notice["image_url"] == [f"{base}-1.png"]
    assert notice["output_url"] == f"{base}.out"
    assert notice["context"] == {"abc": 123}
    assert len(notice["image_link"]) == 1
    assert harness.queue.depth() == 0


async def test_the_notice_is_filterable_by_id_runtime_and_result() -> None:
    harness = Harness()
    harness.submit()
    await harness.run_next()
    assert harness.results.published[0].attributes == {"id": "test-t2i", "runtime": "sdruntime", "result": "true"}


async def test_several_pictures_are_numbered_from_one() -> None:
    async def three(job: Job, on_progress: ProgressCallback) -> Generation:
        return a_generation(3)

    harness = Harness(ScriptedRuntime(three))
    harness.submit()
    await harness.run_next()
    assert [url.rsplit("-", 1)[1] for url in harness.notices()[0]["image_url"]] == ["1.png", "2.png", "3.png"]


async def test_content_by_location_is_read_from_the_inbox() -> None:
    harness = Harness()
    task = harness.submit()
    harness.artifacts.put(task.content_location, b'{"prompt": "from the inbox"}', content_type="application/json")
    harness.queue = type(harness.queue)(harness.clock)
    metadata = {"id": task.id, "run": task.run}
    harness.queue.send(json.dumps({"metadata": metadata, "content_location": task.content_location}))
    harness.build()
    await harness.run_next()
    assert harness.runtime.jobs[0].content == {"prompt": "from the inbox"}


async def test_a_message_without_the_content_that_the_table_keeps_ends_its_task() -> None:
    harness = Harness()
    task = harness.submit(content_location=names.CONTENT_IN_TABLE)
    harness.queue = type(harness.queue)(harness.clock)
    metadata = {"id": task.id, "run": task.run}
    harness.queue.send(json.dumps({"metadata": metadata, "content_location": task.content_location}))
    harness.build()
    await harness.run_next()
    assert harness.notices()[0]["error"]["code"] == "content_unavailable"
    assert harness.runtime.jobs == []


async def test_a_permanent_failure_ends_the_task_at_once_with_one_notice() -> None:
    harness = Harness(ScriptedRuntime(fails_permanently))
    harness.submit()
    await harness.run_next()
    task = harness.task()
    assert task.status is TaskStatus.FAILED
    assert task.error is not None
    assert task.error.code == "model_not_found"
    (notice,) = harness.notices()
    assert notice["result"] is False
    assert notice["error"] == {"code": "model_not_found", "message": "no such model", "permanent": True}
    assert harness.queue.depth() == 0


async def test_a_transient_failure_is_tried_again_until_the_attempts_are_spent() -> None:
    clock = FakeClock()
    harness = Harness(ScriptedRuntime(fails_transiently), clock=clock)
    harness.submit(max_attempts=3)
    for _ in range(3):
        await harness.run_next()
        clock.advance(timedelta(minutes=2))
    task = harness.task()
    assert task.status is TaskStatus.FAILED
    assert len(harness.runtime.jobs) == 3
    assert len(harness.notices()) == 1
    assert harness.notices()[0]["error"]["permanent"] is False


async def test_the_first_lost_runtime_spends_no_attempt_and_stops_the_receiving() -> None:
    harness = Harness(ScriptedRuntime(is_lost))
    harness.submit()
    await harness.run_next()
    task = harness.task()
    assert (task.status, task.attempt, task.losses) == (TaskStatus.QUEUED, 1, 1)
    assert not harness.health.is_ready


async def test_a_bug_in_an_adapter_costs_an_attempt_not_the_instance() -> None:
    async def crashes(job: Job, on_progress: ProgressCallback) -> Generation:
        raise ZeroDivisionError

    clock = FakeClock()
    harness = Harness(ScriptedRuntime(crashes, succeeds), clock=clock)
    harness.submit()
    await harness.run_next()
    assert (harness.task().status, harness.task().attempt) == (TaskStatus.QUEUED, 2)
    clock.advance(timedelta(seconds=5))
    await harness.run_next()
    assert harness.task().status is TaskStatus.SUCCEEDED


async def test_a_message_of_an_older_run_is_deleted_and_not_run() -> None:
    harness = Harness()
    harness.submit(run="run-2")
    harness.queue.send(json.dumps({"metadata": {"id": "test-t2i", "run": "run-1"}, "content": {}}))
    await harness.run_next()
    await harness.run_next()
    assert len(harness.runtime.jobs) == 1
    assert harness.queue.depth() == 0


async def test_a_redelivered_message_of_a_notified_task_is_only_deleted() -> None:
    harness = Harness()
    task = harness.submit()
    harness.queue.send(messages.write_message(task, {"prompt": "again"}))
    await harness.run_next()
    await harness.run_next()
    assert len(harness.runtime.jobs) == 1
    assert len(harness.notices()) == 1
    assert harness.queue.depth() == 0


async def test_a_redelivered_message_of_a_task_whose_notice_never_went_out_sends_it() -> None:
    harness = Harness()
    task = harness.submit()
    ended = transitions.request_cancel(task, now=harness.clock.now())
    harness.memory_store.save(ended, expecting=task)
    await harness.run_next()
    assert harness.runtime.jobs == []
    assert [notice["status"] for notice in harness.notices()] == ["cancelled"]
    assert harness.queue.depth() == 0


async def test_a_task_under_a_live_lease_elsewhere_is_left_until_that_lease_ends() -> None:
    clock = FakeClock()
    harness = Harness(clock=clock)
    running = a_running_task()
    harness.submit(status=running.status, claim=Claim("other", "i-other", NOON + LEASE), started_at=NOON)
    await harness.run_next()
    assert harness.runtime.jobs == []
    assert harness.queue.depth() == 1
    clock.advance(LEASE - timedelta(seconds=1))
    assert harness.queue.receive(max_messages=1, wait=timedelta(0), visibility=LEASE) == []
    clock.advance(timedelta(seconds=3))
    await harness.run_next()
    assert harness.task().status is TaskStatus.SUCCEEDED
    assert (harness.task().attempt, harness.task().losses) == (1, 1)


async def test_a_task_that_loses_every_instance_ends_with_a_notice() -> None:
    clock = FakeClock()
    harness = Harness(clock=clock)
    dead = a_running_task()
    harness.submit(
        status=dead.status,
        claim=Claim("other", "i-other", NOON - LEASE),
        attempt=3,
        losses=transitions.FREE_LEASE_LOSSES,
    )
    await harness.run_next()
    assert harness.runtime.jobs == []
    assert harness.notices()[0]["error"]["code"] == "attempts_spent"


async def test_an_expired_task_fails_with_a_notice_and_is_not_run() -> None:
    harness = Harness()
    harness.submit(expires_at=NOON)
    await harness.run_next()
    assert harness.runtime.jobs == []
    assert harness.notices()[0]["error"]["code"] == "expired"


@pytest.mark.parametrize("body", ["", "no json", "[]", '{"metadata": {"id": "x"}}', "{}"])
async def test_a_message_that_is_no_task_is_kept_as_a_dead_letter(body: str) -> None:
    harness = Harness()
    harness.queue.send(body)
    await harness.run_next()
    (url,) = harness.artifacts.urls()
    assert url.startswith(f"s3://{INBOX_BUCKET}/dead-letters/fleet-sdruntime/")
    assert json.loads(harness.artifacts.get(url, max_bytes=10_000))["body"] == body
    assert harness.queue.depth() == 0


async def test_the_sender_of_a_broken_message_is_told_where_an_id_can_be_read() -> None:
    harness = Harness()
    harness.queue.send('{"metadata": {"id": "broken-1"}}')
    await harness.run_next()
    assert [(notice["id"], notice["result"]) for notice in harness.notices()] == [("broken-1", False)]


async def test_the_output_format_of_the_request_is_honoured() -> None:
    from io import BytesIO

    from PIL import Image

    picture = BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")

    async def draws(job: Job, on_progress: ProgressCallback) -> Generation:
        generation = a_generation()
        return Generation((type(generation.files[0])(picture.getvalue()),), generation.output)

    harness = Harness(ScriptedRuntime(draws))
    options = harness.submit().options
    harness = Harness(ScriptedRuntime(draws))
    harness.submit(options=type(options)(output_format=OutputFormat.JPEG))
    await harness.run_next()
    assert harness.notices()[0]["image_url"][0].endswith("-1.jpg")


async def test_an_outage_before_the_claim_fails_no_task_even_in_its_last_attempt() -> None:
    class AwayStore(MemoryArtifactStore):
        def get(self, url: str, *, max_bytes: int) -> bytes:
            raise ServiceUnavailable

    harness = Harness()
    task = harness.submit(attempt=3, max_attempts=3)
    harness.artifacts = AwayStore()
    harness.queue = MemoryTaskQueue(harness.clock)
    metadata = {"id": task.id, "run": task.run}
    harness.queue.send(json.dumps({"metadata": metadata, "content_location": task.content_location}))
    harness.build()
    await harness.run_next()
    assert (harness.task().status, harness.task().attempt) == (TaskStatus.QUEUED, 3)
    assert harness.notices() == []
    assert harness.queue.depth() == 1
