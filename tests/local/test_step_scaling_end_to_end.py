"""A deployment at zero, on its step policies alone: 120 queued tasks, their instances, and nothing again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from running_service import RunningService, eventually, new_id
from sdfleet.domain import names
from sdfleet.domain.scaling import DEFAULT_STEPS

GROUP = names.fleet_name("local", "sdruntime")
TASKS = 120
#: Boots of real schedulers, three at a time, on two cores that do something else.
PATIENCE_S = 120.0


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    root = tmp_path_factory.mktemp("a checkout")
    # A minute of CloudWatch in a second: five of them without a task end an instance.
    started = RunningService.start(root, "--instances", "0", "--no-fast-scaler", "--scaling-minute", "1")
    try:
        yield started
    finally:
        started.stop()


def changes(service: RunningService) -> list[dict[str, Any]]:
    """What the policies did, in order."""
    log = service.root / ".sdfleet" / "local" / "logs" / "supervisor.log"
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "group.scaled"]


def notice(service: RunningService, action: str) -> None:
    answer = service.autoscaling(
        action, AutoScalingGroupName=GROUP, **{"ScalingProcesses.member.1": "AlarmNotification"}
    )
    assert answer.is_success, answer.text


def test_120_queued_tasks_get_the_instances_of_the_step_table_and_then_none(service: RunningService) -> None:
    # Until all of them wait: what a minute sees of a growing queue is a matter of chance.
    notice(service, "SuspendProcesses")
    tasks = [new_id() for _ in range(TASKS)]
    for task_id in tasks:
        service.submit(id=task_id, content={"prompt": "A dog", "width": 64, "height": 64})
    assert service.instances() == []
    notice(service, "ResumeProcesses")

    first = eventually(lambda: changes(service), within_s=10)[0]
    assert (first["policy"], first["before"], first["value"]) == (f"{GROUP}-scale-out", 0, TASKS)
    assert first["desired"] == DEFAULT_STEPS.addition(TASKS) == 3
    for task_id in tasks:
        assert service.ended(task_id, within_s=PATIENCE_S)["status"] == "succeeded"

    eventually(lambda: service.instances() == [], within_s=PATIENCE_S)
    ins = [one for one in changes(service) if one["desired"] < one["before"]]
    assert [one["policy"] for one in ins] == [f"{GROUP}-scale-in"] * len(ins)
    assert [one["before"] - one["desired"] for one in ins] == [1] * len(ins)
    assert {one["value"] for one in ins} == {0}

    service.submit(id=(last := new_id()))
    assert service.ended(last, within_s=PATIENCE_S)["status"] == "succeeded"
    woken = next(one for one in changes(service)[len(ins) :] if one["before"] == 0 and one is not first)
    assert (woken["policy"], woken["desired"]) == (f"{GROUP}-wake", 1)
