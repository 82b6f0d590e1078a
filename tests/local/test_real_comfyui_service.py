"""The whole service on a real ComfyUI; skipped unless SDFLEET_COMFYUI_COMMAND starts one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from real_comfyui import COMMAND, ComfyUi, a_workflow, scaled, sleeping
from running_service import RunningService, eventually, new_id

pytestmark = pytest.mark.skipif(not COMMAND, reason="SDFLEET_COMFYUI_COMMAND starts no ComfyUI")


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUi]:
    server = ComfyUi(tmp_path_factory.mktemp("comfyui") / "log")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def service(comfyui: ComfyUi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    root = tmp_path_factory.mktemp("checkout")
    service = RunningService.start(root, "--runtime-type", "comfyui", "--runtime-url", comfyui.url)
    yield service
    service.stop()


def run(service: RunningService, workflow: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """The ended task."""
    task_id = new_id()
    accepted = service.submit(id=task_id, tasktype="pipeline", content=workflow, **metadata)
    assert accepted.status_code == 200, accepted.text
    return service.ended(task_id)


def picture_of(service: RunningService, task: dict[str, Any]) -> Image.Image:
    (url,) = task["image_url"]
    return Image.open(io.BytesIO(service.object_at(url)))


def test_a_workflow_without_a_model_puts_its_picture_into_the_bucket(service: RunningService) -> None:
    task = run(service, a_workflow(**scaled(128)))
    assert task["status"] == "succeeded", task
    assert picture_of(service, task).size == (128, 128)


def test_a_linked_picture_is_loaded_and_scaled(service: RunningService) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(picture, "PNG")
    body = {"content_type": "image/png", "size_bytes": len(picture.getvalue())}
    upload = service.request("POST", "v1alpha2/uploads", json=body).json()
    put = httpx.put(upload["upload_url"], content=picture.getvalue(), headers=upload["headers"], trust_env=False)
    assert put.is_success
    workflow = a_workflow(**scaled(40))
    workflow["1"] = {"class_type": "LoadImage", "inputs": {"image": upload["url"]}}
    task = run(service, workflow)
    assert task["status"] == "succeeded", task
    assert picture_of(service, task).convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_a_workflow_that_fails_at_run_time_names_the_node(service: RunningService) -> None:
    task = run(service, a_workflow(class_type="SdfleetFail"))
    assert task["status"] == "failed"
    assert task["error"]["code"] == "execution_failed"
    assert "SdfleetFail" in task["error"]["message"]
    assert task["image_url"] == []


def test_a_workflow_that_fails_validation_names_the_input(service: RunningService) -> None:
    task = run(service, a_workflow(class_type="ImageScale", inputs={"width": 64}))
    assert task["status"] == "failed"
    assert task["error"]["permanent"] is True
    assert "upscale_method" in task["error"]["message"]


def test_a_workflow_that_would_wedge_the_server_is_refused_and_the_next_one_runs(service: RunningService) -> None:
    poison = a_workflow(**scaled(64))
    poison["9"] = {"class_type": "EmptyImage"}
    refused = service.submit(tasktype="pipeline", content=poison)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["path"].startswith("task.content.9")
    assert run(service, a_workflow(**scaled(32)))["status"] == "succeeded"


def test_a_cancelled_task_stops_at_the_server(service: RunningService, comfyui: ComfyUi) -> None:
    task_id = new_id()
    notices = service.notices()
    service.submit(id=task_id, tasktype="pipeline", content=sleeping(60))
    eventually(lambda: service.task(task_id)["status"] == "running" and comfyui.running())
    assert service.request("DELETE", f"v1alpha2/tasks/{task_id}").status_code == 202
    assert service.ended(task_id, within_s=15)["status"] == "cancelled"
    assert notices.of(task_id)["status"] == "cancelled"
    assert comfyui.running() == 0


def test_a_task_survives_the_kill_of_its_server_and_costs_no_attempt(service: RunningService, comfyui: ComfyUi) -> None:
    task_id = new_id()
    service.submit(id=task_id, tasktype="pipeline", content=sleeping(4))
    eventually(lambda: service.task(task_id)["status"] == "running" and comfyui.running())
    comfyui.kill()
    eventually(lambda: service.task(task_id)["status"] == "queued")
    comfyui.start()
    task = service.ended(task_id)
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
