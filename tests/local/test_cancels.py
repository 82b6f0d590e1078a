"""Cancels and progress through the whole service: real processes, a real queue, one instance and two tasks."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from running_service import RunningService, eventually, new_id

SEED = 3
ROUNDS = 6
#: Of the task that is cancelled.
TASK_S = 3.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """With one instance, so that the neighbour is always right behind."""
    service = RunningService.start(tmp_path_factory.mktemp("a checkout"), "--instances", "1")
    try:
        yield service
    finally:
        service.stop()


def submit(service: RunningService, seconds: float) -> str:
    task_id = new_id()
    content = {"prompt": "A dog", "width": 64, "height": 64, "test_pattern_seconds": seconds}
    assert service.submit(id=task_id, content=content).status_code == 200
    return task_id


def until_begun(service: RunningService, task_id: str) -> None:
    eventually(lambda: service.task(task_id)["status"] != "queued")


def test_cancels_at_random_moments_never_touch_the_neighbour(service: RunningService) -> None:
    dice = random.Random(SEED)
    notices = service.notices()
    pairs = []
    for _ in range(ROUNDS):
        cancelled, neighbour = submit(service, TASK_S), submit(service, 0.2)
        pairs.append((cancelled, neighbour))
        # From before its turn to after its end.
        if dice.random() > 0.1:
            until_begun(service, cancelled)
        time.sleep(dice.uniform(0, 1.3 * TASK_S))
        status = service.request("DELETE", f"v1alpha2/tasks/{cancelled}").status_code
        ended = service.ended(cancelled)["status"]
        assert (status, ended) in ((202, "cancelled"), (202, "succeeded"), (409, "succeeded"))
        after = service.ended(neighbour)
        assert (after["status"], after["attempt"]) == ("succeeded", 1)

    ids = {task_id for pair in pairs for task_id in pair}
    told = notices.until(lambda received: ids <= {notice["id"] for notice in received})
    for cancelled, neighbour in pairs:
        assert {notice["status"] for notice in told if notice["id"] == neighbour} == {"completed"}
        expected = "completed" if service.task(cancelled)["status"] == "succeeded" else "cancelled"
        assert {notice["status"] for notice in told if notice["id"] == cancelled} == {expected}


def test_progress_grows_while_a_task_runs(service: RunningService) -> None:
    task_id = submit(service, 6)
    seen: list[float] = []

    def look() -> bool:
        task = service.task(task_id)
        seen.append(task["progress"])
        return bool(task["status"] == "succeeded")

    eventually(look)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    # The record is written at most every two seconds.
    assert len({progress for progress in seen if 0 < progress < 1}) >= 2
