"""A deployment at zero with the fast scaler: instances come within seconds, work, and go one by one by their names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from running_service import RunningService, eventually, new_id, run_command
from sdfleet.domain import names

GROUP = names.fleet_name("local", "sdruntime")
#: What the issue asks for.
FROM_API = timedelta(seconds=5)
FROM_TOPIC = timedelta(seconds=15)
#: Boots of real schedulers on two cores that do something else.
PATIENCE_S = 120.0

CONFIG = """\
modelsRuntime:
  - name: sdruntime
    type: sdwebui
    modelFilename: v1-5.safetensors
    fleet:
      maxSize: 3
      scaling:
        cooldownS: 60
        targetQueueS: 10
"""
#: Two seconds at the runtime.
SLOW = {"prompt": "A dog", "width": 64, "height": 64, "test_pattern_seconds": 2}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    root = tmp_path_factory.mktemp("a checkout")
    (root / "config").mkdir()
    (root / "config" / "config.yaml").write_text(CONFIG)
    # Alarms look every 12 s; an idle instance stays for 12 s, one of several for 12 s too.
    started = RunningService.start(
        root, "--config", str(root / "config" / "config.yaml"), "--instances", "0", "--scaling-minute", "12"
    )
    try:
        yield started
    finally:
        started.stop()


def events(service: RunningService, log: str, event: str, *, since: datetime) -> list[dict[str, Any]]:
    text = (service.root / ".sdfleet" / "local" / "logs" / f"{log}.log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{") and f'"{event}"' in line]
    return [one for one in lines if one.get("event") == event and at(one) >= since]


def at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


def first_launch(service: RunningService, *, since: datetime) -> datetime:
    return at(eventually(lambda: events(service, "supervisor", "instance.launched", since=since))[0])


def desired(service: RunningService) -> int:
    answer = service.autoscaling("DescribeAutoScalingGroups").text
    return int(answer.split("<DesiredCapacity>")[1].split("<")[0])


def wait_for_zero(service: RunningService) -> None:
    eventually(lambda: desired(service) == 0 and service.instances() == [], within_s=PATIENCE_S)


def test_a_task_has_its_instance_asked_for_within_five_seconds_twice_in_a_row(service: RunningService) -> None:
    for _ in range(2):
        assert service.instances() == []
        handed_in = datetime.now(UTC)
        assert service.submit(id=(task := new_id())).status_code == 200
        assert first_launch(service, since=handed_in) - handed_in <= FROM_API
        assert service.ended(task, within_s=PATIENCE_S)["status"] == "succeeded"
        wait_for_zero(service)
        # By name, by the scaler.
        scaled = events(service, "functions", "fleet.scaled", since=handed_in)
        assert sum(one["removed"] for one in scaled) == 1, scaled


def test_a_message_that_nobody_announced_has_one_within_fifteen(service: RunningService) -> None:
    wait_for_zero(service)
    task = new_id()
    message = {"metadata": {"id": task, "runtime": "sdruntime", "tasktype": "text-to-image"},
               "content": {"prompt": "A dog", "width": 64, "height": 64}}  # fmt: skip
    handed_in = datetime.now(UTC)
    service.sns("Publish", TopicArn=service.outputs["sdNotificationLambdaARN"], Message=json.dumps(message))
    assert first_launch(service, since=handed_in) - handed_in <= FROM_TOPIC
    assert service.ended(task, within_s=PATIENCE_S)["status"] == "succeeded"


def test_a_queue_gets_several_instances_and_no_task_is_interrupted_when_they_go(service: RunningService) -> None:
    wait_for_zero(service)
    handed_in = datetime.now(UTC)
    tasks = [new_id() for _ in range(32)]
    for task in tasks:
        service.submit(id=task, content=SLOW)
    records = [service.ended(task, within_s=PATIENCE_S) for task in tasks]
    assert {record["status"] for record in records} == {"succeeded"}
    scaled = events(service, "functions", "fleet.scaled", since=handed_in)
    # As long as the first has not told that these take longer, it looks like work for one. Then a minute of work is
    # more than one instance does in boot and target time.
    assert max(one["desired"] or 0 for one in scaled) >= 2
    # While they leave there is work: each of these goes to an instance that may be about to.
    late = []
    while desired(service) > 1:
        service.submit(id=(task := new_id()), content=SLOW)
        late.append(task)
        time.sleep(4.0)
    assert {service.ended(task, within_s=PATIENCE_S)["attempt"] for task in late} <= {1}
    wait_for_zero(service)
    # What stood in line, received a moment before its instance's end, may be given to another.
    stopped = [json.loads(line) for line in service.logs().splitlines() if '"task.stopped"' in line]
    assert [one for one in stopped if one["has_begun"] or one["reason"] not in ("drain", "overtaken")] == []


def test_an_operators_number_holds_until_it_is_released(service: RunningService) -> None:
    wait_for_zero(service)
    pinned = run_command(service.root, "scale", "local", "sdruntime", "2")
    assert pinned.returncode == 0, pinned.stderr
    eventually(lambda: len(service.instances_in_service()) == 2, within_s=PATIENCE_S)

    def is_shown() -> bool:
        shown = run_command(service.root, "local", "watch", "--once").stdout
        return "sdruntime: 2 of 2 wanted (0 to 3)" in shown and "keeps to an operator's number" in shown

    eventually(is_shown, within_s=PATIENCE_S)
    assert run_command(service.root, "scale", "local", "sdruntime", "--release").returncode == 0
    wait_for_zero(service)
