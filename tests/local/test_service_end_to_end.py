from __future__ import annotations

import json
import os
import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from running_service import RunningService, eventually, new_id, run_command

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_waiting_request_returns_a_picture(local_deployment: RunningService) -> None:
    answer = local_deployment.submit(wait_s=20)
    assert answer.status_code == 200, answer.text
    task = answer.json()
    assert task["status"] == "succeeded"
    assert httpx.get(task["image_link"][0], trust_env=False).content.startswith(PNG)


def test_results_lie_where_the_contract_says_and_are_announced(local_deployment: RunningService) -> None:
    notices = local_deployment.notices()
    task_id = new_id()
    local_deployment.submit(id=task_id, context={"abc": 123})
    notice = notices.of(task_id)
    assert notice["status"] == "completed"
    assert notice["context"] == {"abc": 123}
    location = f"s3://{local_deployment.outputs['OutputBucket']}/output/{task_id}/{task_id}-"
    assert notice["image_url"][0].startswith(location)
    assert notice["image_url"][0].endswith("-1.png")
    assert local_deployment.object_at(notice["image_url"][0]).startswith(PNG)
    assert json.loads(local_deployment.object_at(notice["output_url"]))


def test_a_message_published_directly_is_a_request_too(local_deployment: RunningService) -> None:
    notices = local_deployment.notices()
    task_id = new_id()
    message = {
        "metadata": {"id": task_id, "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output"},
        "content": {"prompt": "A dog", "steps": 2, "width": 64, "height": 64},
    }
    local_deployment.sns(
        "Publish",
        **{
            "TopicArn": local_deployment.outputs["sdNotificationLambdaARN"],
            "Message": json.dumps(message),
            "MessageAttributes.entry.1.Name": "runtime",
            "MessageAttributes.entry.1.Value.DataType": "String",
            "MessageAttributes.entry.1.Value.StringValue": "sdruntime",
        },
    )
    assert notices.of(task_id)["result"] is True
    assert local_deployment.task(task_id)["status"] == "succeeded"


def test_an_upload_serves_as_input(local_deployment: RunningService) -> None:
    picture = local_deployment.object_at(local_deployment.submit(wait_s=20).json()["image_url"][0])
    upload = local_deployment.request(
        "POST", "v1alpha2/uploads", json={"content_type": "image/png", "size_bytes": len(picture)}
    ).json()
    link = next(value for value in upload.values() if isinstance(value, str) and value.startswith("http"))
    source = next(value for value in upload.values() if isinstance(value, str) and value.startswith("s3://"))
    assert httpx.put(link, content=picture, headers={"Content-Type": "image/png"}, trust_env=False).is_success
    task_id = local_deployment.submit(
        tasktype="image-to-image", content={"prompt": "A cat", "init_images": [source], "width": 64, "height": 64}
    ).json()["id"]
    assert local_deployment.ended(task_id)["status"] == "succeeded"


@pytest.mark.parametrize("key", [None, "wrong", "schlüssel"])
def test_without_the_key_nothing_is_served(local_deployment: RunningService, key: str | None) -> None:
    headers = {} if key is None else {b"x-api-key": key.encode("latin-1")}
    answer = httpx.get(f"{local_deployment.endpoint}v1alpha2/runtimes", headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["health", "openapi.json"])
def test_two_documents_need_no_key(local_deployment: RunningService, path: str) -> None:
    assert httpx.get(f"{local_deployment.endpoint}{path}", trust_env=False).status_code == 200


@pytest.mark.parametrize("mebibytes", [5, 12])
def test_a_body_that_is_too_large_is_read_and_refused(local_deployment: RunningService, mebibytes: int) -> None:
    body = b'{"task": "' + b"x" * (mebibytes * 1024 * 1024) + b'"}'
    answer = local_deployment.request("POST", "v1alpha2", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_more_than_the_limits_allow_is_answered_with_the_time_to_wait(local_deployment: RunningService) -> None:
    def ask(_: int) -> httpx.Response:
        return local_deployment.http.get("v1alpha2/runtimes")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(150)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert refused[0].json()["status"] == 429


def test_the_outputs_are_for_their_owner_only_and_complete(local_deployment: RunningService) -> None:
    outputs_file = local_deployment.root / ".sdfleet" / "local" / "outputs.json"
    assert stat.S_IMODE(outputs_file.stat().st_mode) == 0o600
    assert set(local_deployment.outputs) == {
        "FrontApiEndpoint",
        "GetAPIKeyCommand",
        "sdNotificationLambdaARN",
        "sdNotificationOutputArn",
        "OutputBucket",
        "CloudFrontDomain",
        "SdruntimeQueueUrl",
        "SdruntimeAutoScalingGroupName",
        "ApiKey",
        "AwsEndpointUrl",
        "AwsRegion",
    }


def test_the_command_for_the_api_key_prints_it(local_deployment: RunningService) -> None:
    with os.popen(local_deployment.outputs["GetAPIKeyCommand"]) as output:
        assert output.read().strip() == local_deployment.api_key


def test_the_release_is_where_the_public_face_says(local_deployment: RunningService) -> None:
    assert local_deployment.ssm("/sdfleet/local/sdruntime/image-version") == "1.0.0"
    assert local_deployment.ssm("/sdfleet/local/sdruntime/deployment-status") == "stable"
    assert {instance["release"] for instance in local_deployment.instances()} == {"1.0.0"}


def test_the_command_lists_the_instances(local_deployment: RunningService) -> None:
    found = json.loads(run_command(local_deployment.root, "local", "instances", "--json").stdout)
    assert {"instance_id", "pid", "state", "release", "imds_url"} <= set(found[0])
    assert found == local_deployment.instances()


def test_the_command_prints_the_logs(local_deployment: RunningService) -> None:
    printed = run_command(local_deployment.root, "local", "logs", "--no-follow").stdout
    assert "supervisor | " in printed
    assert "instance.in_service" in printed


def test_an_unknown_instance_cannot_be_interrupted(local_deployment: RunningService) -> None:
    result = run_command(local_deployment.root, "local", "interrupt", "i-0")
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "There is no instance i-0" in result.stderr


def test_a_second_deploy_says_that_it_is_running(local_deployment: RunningService) -> None:
    result = run_command(local_deployment.root, "deploy", "--local")
    assert result.returncode == 0
    assert "already running" in result.stdout
    assert local_deployment.endpoint in result.stdout


def test_an_instance_that_dies_is_replaced(local_deployment: RunningService) -> None:
    victim = _three_in_service(local_deployment)[0]
    os.kill(victim["pid"], signal.SIGKILL)
    eventually(lambda: victim["instance_id"] not in _ids(local_deployment))
    assert len(_three_in_service(local_deployment)) == 3


def test_an_instance_with_a_spot_notice_leaves_and_is_replaced(local_deployment: RunningService) -> None:
    victim = _three_in_service(local_deployment)[0]
    assert run_command(local_deployment.root, "local", "interrupt", victim["instance_id"]).returncode == 0
    eventually(lambda: victim["instance_id"] not in _ids(local_deployment))
    assert len(_three_in_service(local_deployment)) == 3


def test_a_task_of_an_interrupted_instance_ends_elsewhere_without_a_spent_attempt(
    local_deployment: RunningService,
) -> None:
    _three_in_service(local_deployment)
    task_id = local_deployment.submit(
        content={"prompt": "A slow dog", "width": 64, "height": 64, "test_pattern_seconds": 6}
    ).json()["id"]
    eventually(lambda: local_deployment.task(task_id)["status"] == "running")
    victim = next(one for one in local_deployment.instances() if _has_task(one, task_id))
    os.kill(victim["pid"], signal.SIGKILL)
    task = local_deployment.ended(task_id, within_s=90)
    assert (task["status"], task["attempt"]) == ("succeeded", 1)


def test_two_hundred_tasks_survive_the_end_of_an_instance(local_deployment: RunningService) -> None:
    notices = local_deployment.notices()
    victim = _three_in_service(local_deployment)[0]
    task_ids = [new_id() for _ in range(200)]

    def submit(index: int) -> int:
        if index == 100:
            os.kill(victim["pid"], signal.SIGTERM)
        return local_deployment.submit(id=task_ids[index]).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(submit, range(200))) == {200}
    received = notices.until(lambda found: {one["id"] for one in found} >= set(task_ids), within_s=180)
    assert sorted(one["id"] for one in received) == sorted(task_ids)
    assert all(one["result"] and len(one["image_url"]) == 1 for one in received)
    some = task_ids[0]
    assert len(local_deployment.objects_below(local_deployment.outputs["OutputBucket"], f"output/{some}/")) == 2
    _three_in_service(local_deployment)


def test_the_logs_hold_no_prompt_and_no_key(local_deployment: RunningService) -> None:
    local_deployment.submit(wait_s=20, content={"prompt": "an unmistakable heron", "width": 64, "height": 64})
    time.sleep(0.2)
    logs = local_deployment.logs()
    assert "task.accepted" in logs
    assert "unmistakable heron" not in logs
    assert local_deployment.api_key not in logs


def _ids(service: RunningService) -> set[str]:
    return {instance["instance_id"] for instance in service.instances()}


def _three_in_service(service: RunningService) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]] | None:
        found = service.instances()
        return found if len(found) == 3 and all(one["state"] == "InService" for one in found) else None

    return eventually(look, within_s=40)


def _has_task(instance: dict[str, Any], task_id: str) -> bool:
    status = httpx.get(f"{instance['url']}/v1/status", trust_env=False).json()
    return any(task["id"] == task_id for task in status["tasks"])
