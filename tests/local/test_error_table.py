"""The contract's errors through the whole service: status, problem+json, and nothing of it in the logs."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from running_service import RunningService, new_id

SECRET_PROMPT = "a prompt that nobody may read in a log"


def a_body(content: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    metadata = {"id": new_id(), "runtime": "sdruntime", "tasktype": "text-to-image", **metadata}
    return {"task": {"metadata": metadata, "content": content or {"prompt": SECRET_PROMPT, "width": 64, "height": 64}}}


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


def paths(problem: dict[str, Any]) -> set[str]:
    return {error["path"] for error in problem["errors"]}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (a_body(runtime="nowhere"), "task.metadata.runtime"),
        (a_body(tasktype="text-to-video"), "task.metadata.tasktype"),
        (a_body(id="no spaces"), "task.metadata.id"),
        (a_body(id="x" * 129), "task.metadata.id"),
        (a_body(prefix="../elsewhere"), "task.metadata.prefix"),
        (a_body(prefix="/root"), "task.metadata.prefix"),
        (a_body(context="x" * 17_000), "task.metadata.context"),
        (a_body(callback_url="http://example.com/"), "task.metadata.callback_url"),
        (a_body({"init_images": ["no picture"]}, tasktype="image-to-image"), "task.content.init_images[0]"),
        (a_body({"image": "aGVsbG8gd29ybGQh"}, tasktype="extra-single-image"), "task.content.image"),
        (
            a_body({"alwayson_scripts": {"sd_model_checkpoint": "another.safetensors"}}),
            "task.content.alwayson_scripts.sd_model_checkpoint",
        ),
    ],
)
def test_a_bad_field_is_a_400_that_names_it(local_deployment: RunningService, body: dict[str, Any], path: str) -> None:
    assert path in paths(refused(local_deployment.request("POST", "v1alpha2", json=body), 400))


def test_every_missing_field_is_named_at_once(local_deployment: RunningService) -> None:
    problem = refused(local_deployment.request("POST", "v1alpha2", json={"task": {"metadata": {}}}), 400)
    assert {"task.metadata.runtime", "task.metadata.tasktype", "task.content"} <= paths(problem)


def test_what_is_no_json_is_a_400_or_a_415(local_deployment: RunningService) -> None:
    headers = {"Content-Type": "application/json"}
    refused(local_deployment.request("POST", "v1alpha2", content=b"{", headers=headers), 400)
    refused(local_deployment.request("POST", "v1alpha2", content=b"a=1", headers={"Content-Type": "text/plain"}), 415)


def test_a_body_of_five_megabytes_is_a_413(local_deployment: RunningService) -> None:
    refused(local_deployment.request("POST", "v1alpha2", json=a_body({"prompt": "x" * 5_000_000})), 413)


def test_an_unknown_task_is_a_404(local_deployment: RunningService) -> None:
    for method in ("GET", "DELETE"):
        refused(local_deployment.request(method, "v1alpha2/tasks/unknown-task"), 404)


def test_an_unknown_path_is_a_404_and_another_method_a_405(local_deployment: RunningService) -> None:
    refused(local_deployment.request("GET", "v2"), 404)
    answer = local_deployment.request("PUT", "v1alpha2/", json={})
    refused(answer, 405)
    assert "POST" in answer.headers["Allow"]


def test_an_id_in_use_with_other_content_is_a_409_and_the_first_task_goes_on(local_deployment: RunningService) -> None:
    task_id = new_id()
    slow = {"prompt": SECRET_PROMPT, "width": 64, "height": 64, "test_pattern_seconds": 2}
    assert local_deployment.submit(id=task_id, content=slow).status_code == 200
    refused(local_deployment.submit(id=task_id, content={**slow, "steps": 3}), 409)
    assert local_deployment.submit(id=task_id, content=slow).status_code == 200
    assert local_deployment.ended(task_id)["status"] == "succeeded"
    refused(local_deployment.request("DELETE", f"v1alpha2/tasks/{task_id}"), 409)


def test_a_link_to_a_private_address_fails_for_good_and_names_the_field(local_deployment: RunningService) -> None:
    task_id = new_id()
    content = {"init_images": [f"{local_deployment.endpoint}health?token=s3cret"]}
    assert local_deployment.submit(id=task_id, content=content, tasktype="image-to-image").status_code == 200
    error = local_deployment.ended(task_id)["error"]
    assert (error["code"], error["permanent"]) == ("input_unavailable", True)
    assert "init_images[0]" in error["message"]
    assert "s3cret" not in json.dumps(error)


def test_a_cancel_while_it_runs_ends_as_cancelled_with_one_notice(local_deployment: RunningService) -> None:
    notices = local_deployment.notices()
    task_id = new_id()
    local_deployment.submit(id=task_id, content={"prompt": SECRET_PROMPT, "test_pattern_seconds": 120})
    assert local_deployment.request("DELETE", f"v1alpha2/tasks/{task_id}").status_code == 202
    assert local_deployment.ended(task_id, within_s=20)["status"] == "cancelled"
    assert notices.of(task_id)["status"] == "cancelled"


def test_nothing_of_all_that_is_in_the_logs(local_deployment: RunningService) -> None:
    logs = local_deployment.logs()
    assert logs
    assert SECRET_PROMPT not in logs
    assert "s3cret" not in logs
    assert "X-Amz-Signature" not in logs
    assert local_deployment.api_key not in logs
