"""The EC2 service's own API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders import a_deployment, an_artifact
from sdfleet.domain import transitions
from sdfleet.domain.task import Failure, Task
from service_harness import COMFYUI, PATTERN, PNG, STATIC, Harness


@pytest.fixture
def harness() -> Harness:
    return Harness(deployment=a_deployment(runtimes=(PATTERN, COMFYUI, STATIC)))


def submit(harness: Harness, api: str = "/sdapi/v1/txt2img", **payload: Any) -> str:
    answer = harness.post({"api": api, "payload": payload or {"prompt": "A dog"}}, "/task")
    assert answer.status == 200, answer.body
    assert answer.body.keys() == {"taskId"}
    return str(answer.body["taskId"])


def show(harness: Harness, task_id: str) -> dict[str, Any]:
    answer = harness.call("GET", "/task", queryStringParameters={"taskId": task_id})
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def run(harness: Harness, task_id: str) -> None:
    now = harness.clock.now()
    harness.change(
        lambda task: transitions.claim(task, run=task.run, token="t", instance_id="i", lease_until=now, now=now),
        task_id,
    )


def test_it_goes_to_the_first_webui(harness: Harness) -> None:
    assert harness.task(submit(harness)).runtime == "sdruntime"


def test_without_a_webui_it_goes_to_the_first_runtime() -> None:
    harness = Harness(deployment=a_deployment(runtimes=(PATTERN, COMFYUI)))
    assert harness.task(submit(harness)).runtime == "pattern"


def test_a_waiting_task_is_answered_in_dynamodbs_json(harness: Harness) -> None:
    task_id = submit(harness, prompt="A dog", steps=3)
    assert show(harness, task_id) == {
        "taskId": {"S": task_id},
        "taskStatus": {"S": "waiting"},
        "requestData": {"S": '{"prompt":"A dog","steps":3}'},
        "submitTime": {"S": "2026-11-02T12:00:00.000+00:00"},
        "images": {"L": []},
    }


def test_a_running_task_is_waiting(harness: Harness) -> None:
    task_id = submit(harness)
    run(harness, task_id)
    assert show(harness, task_id)["taskStatus"] == {"S": "waiting"}


def test_a_finished_task_has_links_to_its_pictures(harness: Harness) -> None:
    task_id = submit(harness)
    run(harness, task_id)

    def succeed(task: Task) -> Task:
        return transitions.succeed(
            task, run=task.run, token="t", artifacts=(an_artifact(),), output_url="s3://b/o", now=harness.clock.now()
        )

    harness.change(succeed, task_id)

    shown = show(harness, task_id)
    assert shown["taskStatus"] == {"S": "finished"}
    assert shown["images"]["L"][0]["S"].startswith("https://")


def test_failed_and_cancelled_tasks_have_failed(harness: Harness) -> None:
    failed, cancelled = submit(harness), submit(harness, prompt="other")
    now = harness.clock.now()
    harness.change(lambda task: transitions.fail(task, Failure("x", "y", True), run=task.run, now=now), failed)
    harness.change(lambda task: transitions.cancelled(task, run=task.run, now=now), cancelled)
    assert [show(harness, task_id)["taskStatus"]["S"] for task_id in (failed, cancelled)] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("api", "payload", "tasktype"),
    [
        ("/sdapi/v1/img2img", {"init_images": [PNG]}, "image-to-image"),
        ("/sdapi/v1/extra-single-image/", {"image": PNG}, "extra-single-image"),
        ("/sdapi/v1/extra-batch-images", {"imageList": [{"data": PNG, "name": "a"}]}, "extra-batch-images"),
    ],
)
def test_the_webuis_paths_are_task_types(harness: Harness, api: str, payload: dict[str, Any], tasktype: str) -> None:
    assert harness.task(submit(harness, api, **payload)).tasktype == tasktype


def test_every_bad_field_is_named(harness: Harness) -> None:
    answer = harness.post({"api": "/sdapi/v1/txt2vid"}, "/task")
    assert answer.status == 400
    assert sorted(answer.bad_paths) == ["api", "payload"]


def test_an_unknown_task_is_a_404_and_a_missing_id_a_400(harness: Harness) -> None:
    assert harness.call("GET", "/task", queryStringParameters={"taskId": "none"}).status == 404
    assert harness.call("GET", "/task/").bad_paths == ["taskId"]


def test_the_same_idempotency_key_is_the_same_task(harness: Harness) -> None:
    body = {"api": "/sdapi/v1/txt2img", "payload": {"prompt": "x"}}
    answers = [harness.post(body, "/task", idempotency_key="k").body for _ in range(2)]
    assert answers[0] == answers[1]


def test_a_payload_that_is_too_large_or_gone_is_not_echoed(harness: Harness) -> None:
    huge = submit(harness, prompt="x" * 3_000_000)
    assert show(harness, huge)["requestData"] == {"S": "{}"}


def test_a_task_of_the_other_api_is_shown_too(harness: Harness) -> None:
    harness.submit(id="a")
    assert json.loads(show(harness, "a")["requestData"]["S"])["prompt"] == "A dog"
