"""What the service promises of hard hours, once on a real ComfyUI; skipped unless SDFLEET_COMFYUI_COMMAND starts one.

These take minutes: a hundred cancels, a minute without the server, a task of five minutes.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from real_comfyui import COMMAND, ComfyUi, a_workflow, runs_of, scaled, sleeping
from running_service import RunningService, eventually, new_id

pytestmark = pytest.mark.skipif(not COMMAND, reason="SDFLEET_COMFYUI_COMMAND starts no ComfyUI")

ENDED = ("succeeded", "failed", "cancelled")
#: Several times the default visibility of 20 s.
LONG_S = 300.0
PAIRS = 100
QUEUED = 200
AWAY_S = 60.0


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUi]:
    server = ComfyUi(tmp_path_factory.mktemp("comfyui") / "log")
    yield server
    server.kill()


Start = Callable[..., RunningService]


@pytest.fixture(scope="module")
def start(comfyui: ComfyUi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a deployment in front of the server."""
    services = []

    def begin(*, instances: int = 1) -> RunningService:
        root: Path = tmp_path_factory.mktemp("checkout")
        own_server = ("--runtime-type", "comfyui", "--runtime-url", comfyui.url)
        services.append(RunningService.start(root, "--instances", str(instances), *own_server))
        return services[-1]

    yield begin
    for service in services:
        service.stop()


@pytest.fixture(scope="module")
def service(start: Start) -> RunningService:
    return start()


def submitted(service: RunningService, content: dict[str, Any]) -> str:
    task_id = new_id()
    answer = service.submit(id=task_id, tasktype="pipeline", content=content)
    assert answer.status_code == 200, answer.text
    return task_id


def test_a_hundred_cancels_at_random_moments_never_touch_the_next_task(
    service: RunningService, comfyui: ComfyUi
) -> None:
    chance = random.Random(1)
    notices = service.notices()
    ends: Counter[str] = Counter()
    ids = []
    for number in range(PAIRS):
        first = submitted(service, sleeping(0.3, color=2 * number + 1))
        second = submitted(service, sleeping(0.3, color=2 * number + 2))
        # From before its receipt to after its end.
        time.sleep(chance.uniform(0.0, 1.0))
        answer = service.request("DELETE", f"v1alpha2/tasks/{first}").status_code
        assert answer in (200, 202, 409)
        found, behind = service.ended(first), service.ended(second)
        assert found["status"] in ("cancelled", "succeeded"), found
        assert answer != 409 or found["status"] == "succeeded"
        assert (behind["status"], behind["attempt"]) == ("succeeded", 1), behind
        assert len(found["image_url"]) == (found["status"] == "succeeded")
        # Not even once cut short and run again.
        assert runs_of(comfyui.history(), 2 * number + 2) == ["success"]
        ends[found["status"]] += 1
        ids += [first, second]
    told = notices.until(lambda found: {one["id"] for one in found} >= set(ids))
    said = {task_id: {one["status"] for one in told if one["id"] == task_id} for task_id in ids}
    assert all(len(words) == 1 for words in said.values()), said
    # Both happened, or the moments were not random.
    assert min(ends["cancelled"], ends["succeeded"]) >= PAIRS // 20, ends


def malformed() -> dict[str, dict[str, Any]]:
    good = a_workflow(**scaled(32))
    return {
        "no nodes": {},
        "a list": {"prompt": [1, 2]},
        "the editor's format": {"nodes": [], "links": [], "version": 0.4},
        "a node without inputs": {**good, "9": {"class_type": "EmptyImage"}},
        "a node without a class": {**good, "9": {"inputs": {}}},
        "inputs that are a list": {**good, "9": {"class_type": "EmptyImage", "inputs": []}},
        "an unknown class": {**good, "2": {"class_type": "NoSuchNode", "inputs": {"image": ["1", 0]}}},
        "a link to nowhere": {**good, "2": {"class_type": "ImageInvert", "inputs": {"image": ["77", 0]}}},
        "a link to an output that is not there": {
            **good,
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 9]}},
        },
        "a circle": {
            **good,
            "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        },
        "no output node": {"1": good["1"]},
        "a missing input": {**good, "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0]}}},
        "a value of the wrong type": {
            **good,
            "1": {"class_type": "EmptyImage", "inputs": {"width": "wide", "height": 8, "batch_size": 1, "color": 0}},
        },
        "a value out of range": {
            **good,
            "1": {"class_type": "EmptyImage", "inputs": {"width": -5, "height": 8, "batch_size": 1, "color": 0}},
        },
        "a node that raises": a_workflow(class_type="SdfleetFail"),
    }


@pytest.mark.parametrize("name", malformed())
def test_a_malformed_workflow_is_refused_or_fails_and_the_next_one_runs(service: RunningService, name: str) -> None:
    task_id = new_id()
    answer = service.submit(id=task_id, tasktype="pipeline", content=malformed()[name])
    if answer.status_code == 200:
        task = service.ended(task_id)
        assert (task["status"], task["error"]["permanent"], task["attempt"]) == ("failed", True, 1), task
        assert task["image_url"] == []
    else:
        assert answer.status_code == 400
        assert answer.json()["errors"]
    after = service.ended(submitted(service, a_workflow(**scaled(40))))
    assert (after["status"], after["attempt"]) == ("succeeded", 1)


def test_two_hundred_queued_tasks_survive_a_minute_without_their_server(
    service: RunningService, comfyui: ComfyUi
) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda number: submitted(service, sleeping(0.3, color=9000 + number)), range(QUEUED)))
    comfyui.kill()
    killed_at = time.monotonic()
    eventually(lambda: not any(service.task(task_id)["status"] == "running" for task_id in ids[:60]))
    ended = sum(service.task(task_id)["status"] in ENDED for task_id in ids)
    assert ended < QUEUED / 2, "the server was killed too late"
    time.sleep(max(0.0, AWAY_S - (time.monotonic() - killed_at)))
    # Nothing was received, so nothing failed.
    assert sum(service.task(task_id)["status"] in ENDED for task_id in ids) == ended
    comfyui.start()
    tasks = [service.ended(task_id, within_s=240) for task_id in ids]
    assert Counter((task["status"], task["attempt"]) for task in tasks) == {("succeeded", 1): QUEUED}


def test_a_task_of_five_minutes_runs_exactly_once(start: Start, comfyui: ComfyUi) -> None:
    """Two instances in front of one server: a second run would show in its history."""
    service = start(instances=2)
    notices = service.notices()
    task_id = submitted(service, sleeping(LONG_S, color=4711))
    task = service.ended(task_id, within_s=LONG_S + 120)
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
    assert notices.of(task_id)["status"] == "completed"
    assert runs_of(comfyui.history(), 4711) == ["success"]
    assert [one["id"] for one in notices.received] == [task_id]
