"""A killed instance's task runs again within 30 seconds, however long it is meant to run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from running_service import RunningService, eventually, new_id


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    service = RunningService.start(tmp_path_factory.mktemp("checkout"), "--instances", "1")
    yield service
    service.stop()


def test_an_hours_task_is_running_elsewhere_within_thirty_seconds_of_a_kill(service: RunningService) -> None:
    task_id = new_id()
    service.submit(id=task_id, content={"prompt": "A dog", "test_pattern_seconds": 3600}, timeout_s=4000)
    first = eventually(lambda: service.task(task_id)["started_at"])
    # Just after a heartbeat the lease is longest.
    time.sleep(7)
    (instance,) = service.instances()
    os.kill(instance["pid"], signal.SIGKILL)
    killed_at = time.monotonic()
    eventually(lambda: service.task(task_id)["started_at"] != first, within_s=30)
    assert time.monotonic() - killed_at < 30
    task = service.task(task_id)
    assert (task["status"], task["attempt"]) == ("running", 1)
    assert service.request("DELETE", f"v1alpha2/tasks/{task_id}").status_code == 202
    assert service.ended(task_id, within_s=15)["status"] == "cancelled"
