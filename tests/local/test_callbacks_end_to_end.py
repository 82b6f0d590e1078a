"""Callbacks of the running service, to the receiver of docs/examples."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running_service import RunningService, eventually, new_id, run_command
from sdfleet_local.loopback import free_port

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "callback_receiver.py"
TRACEPARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"


def the_example() -> Any:
    spec = importlib.util.spec_from_file_location("callback_receiver_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[RunningService]:
    root = tmp_path_factory.mktemp("callbacks")
    config = root / "config.yaml"
    config.write_text(
        f"modelsRuntime: [{{name: sdruntime, type: test_pattern}}]\ninputs: {{allowedHosts: ['127.0.0.1:{port}']}}\n"
    )
    running = RunningService.start(root, "--config", str(config), "--instances", "1")
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def secret(service: RunningService) -> str:
    command = run_command(service.root, "callbacks", "secret")
    assert command.returncode == 0, command.stderr
    return command.stdout.strip()


@pytest.fixture
def receiver(secret: str, port: int) -> Iterator[Any]:
    server = the_example().Receiver(port, secret)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def notice_of(receiver: Any, task_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        return next((notice for notice in list(receiver.notices.values()) if notice["id"] == task_id), None)

    return eventually(look)


def test_a_receiver_verifies_the_notice_of_a_finished_task(service: RunningService, receiver: Any, port: int) -> None:
    published = service.notices()
    task_id = new_id()
    answer = service.submit(id=task_id, context={"abc": 123}, callback_url=f"http://127.0.0.1:{port}/in?token=hidden")
    assert answer.status_code == 200, answer.text
    notice = notice_of(receiver, task_id)
    assert notice == published.of(task_id)
    assert (notice["result"], notice["status"], notice["context"]) == (True, "completed", {"abc": 123})
    assert service.task(task_id)["callback_url"] == f"http://127.0.0.1:{port}/in"
    assert "hidden" not in service.logs()


def test_a_failed_task_calls_back(service: RunningService, receiver: Any, port: int) -> None:
    task_id = new_id()
    content = {"prompt": "A dog", "init_images": [f"http://127.0.0.1:{free_port()}/nothing.png"]}
    service.submit(id=task_id, tasktype="image-to-image", content=content, callback_url=f"http://127.0.0.1:{port}/")
    notice = notice_of(receiver, task_id)
    assert (notice["result"], notice["status"]) == (False, "failed")
    assert notice["error"]["code"]


def test_a_message_published_directly_calls_back_when_it_is_refused(
    service: RunningService, receiver: Any, port: int
) -> None:
    task_id = new_id()
    metadata = {"id": task_id, "runtime": "nowhere", "tasktype": "text-to-image"}
    message = {"metadata": {**metadata, "callback_url": f"http://127.0.0.1:{port}/"}, "content": {"prompt": "A dog"}}
    service.sns("Publish", TopicArn=service.outputs["sdNotificationLambdaARN"], Message=json.dumps(message))
    assert notice_of(receiver, task_id)["error"]["code"] == "invalid_request"


def test_a_receiver_that_was_down_gets_the_notice_a_little_later(
    service: RunningService, secret: str, port: int
) -> None:
    task_id = new_id()
    service.submit(id=task_id, callback_url=f"http://127.0.0.1:{port}/")
    service.ended(task_id)
    eventually(lambda: "callback.postponed" in service.logs())
    server = the_example().Receiver(port, secret)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        assert notice_of(server, task_id)["status"] == "completed"
    finally:
        server.shutdown()
        server.server_close()


def test_the_receiver_refuses_what_others_send(receiver: Any) -> None:
    module = the_example()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1000", "webhook-signature": "v1,AAAA"}
    assert not module.verify(receiver.secrets, headers, b"{}", now=1000.0)


def test_other_private_hosts_stay_refused(service: RunningService) -> None:
    answer = service.submit(callback_url="http://127.0.0.1:1/")
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["task.metadata.callback_url"]


def test_one_trace_goes_from_the_request_to_the_notice_and_through_every_log(
    service: RunningService, receiver: Any, port: int
) -> None:
    task_id = new_id()
    metadata = {
        "id": task_id, "runtime": "sdruntime", "tasktype": "text-to-image", "callback_url": f"http://127.0.0.1:{port}/"
    }  # fmt: skip
    body = {"task": {"metadata": metadata, "content": {"prompt": "A dog", "width": 64, "height": 64}}}
    service.request("POST", "v1alpha2", json=body, headers={"traceparent": TRACEPARENT})
    notice_of(receiver, task_id)
    expected = {"task.accepted", "task.ended", "callback.delivered"}
    # The last of them is written after the receiver has answered.
    assert eventually(lambda: expected <= traced_events(service))


def traced_events(service: RunningService) -> set[str]:
    # The last line may be half written.
    lines = [json.loads(line) for line in service.logs().splitlines() if line.startswith("{") and line.endswith("}")]
    return {line["event"] for line in lines if line.get("trace_id") == "1-5759e988-bd862e3fe1be46a994272793"}


def test_a_callback_that_was_given_up_is_listed_and_delivered_once_it_is_sent_back(
    service: RunningService, receiver: Any, port: int
) -> None:
    task_id = new_id()
    names = ("callback_url", f"http://127.0.0.1:{port}/in"), ("callback_id", f"msg_{task_id}"), ("id", task_id)
    attributes = {name: {"Type": "String", "Value": value} for name, value in names}
    envelope = {"Type": "Notification", "Message": json.dumps({"id": task_id}), "MessageAttributes": attributes}
    url = service.sqs("GetQueueUrl", QueueName="local-callbacks-dead-letters")["QueueUrl"]
    service.sqs("SendMessage", QueueUrl=url, MessageBody=json.dumps(envelope))
    listed = run_command(service.root, "callbacks", "list", "local", "--json")
    assert [one["task_id"] for one in json.loads(listed.stdout)] == [task_id], listed.stderr
    sent = run_command(service.root, "callbacks", "redeliver", "local", "--task", task_id)
    assert "1 sent back." in sent.stdout, sent.stderr
    assert notice_of(receiver, task_id) == {"id": task_id}
    assert run_command(service.root, "callbacks", "list", "local").stdout == "No callback was given up.\n"
