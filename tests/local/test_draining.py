"""Instances that have to go, through the whole service: nothing in hand is lost, doubled or charged an attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from running_service import RunningService, eventually, new_id, run_command


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    service = RunningService.start(tmp_path_factory.mktemp("draining"), "--instances", "2")
    yield service
    service.stop()


@pytest.fixture(autouse=True)
def two_in_service(service: RunningService) -> None:
    eventually(lambda: len(service.instances_in_service()) == 2, within_s=60)


def a_task(service: RunningService, *, seconds: float) -> str:
    task_id = new_id()
    content = {"prompt": "A dog", "width": 64, "height": 64, "test_pattern_seconds": seconds}
    assert service.submit(id=task_id, content=content).is_success
    return task_id


def whoever_runs(service: RunningService, task_id: str, *, other_than: str = "") -> dict[str, Any]:
    """The instance that has the task claimed."""

    def look() -> dict[str, Any] | None:
        for instance in service.instances():
            if instance["instance_id"] != other_than and task_id in claimed_by(instance):
                return instance
        return None

    return eventually(look)


def claimed_by(instance: dict[str, Any]) -> dict[str, int]:
    """The attempts of the tasks that the instance has claimed."""
    return {task["id"]: task["attempt"] for task in status(instance).get("tasks", ()) if task["claimed"]}


def status(instance: dict[str, Any]) -> dict[str, Any]:
    try:
        view: dict[str, Any] = httpx.get(f"{instance['url']}/v1/status", timeout=2.0, trust_env=False).json()
    except httpx.TransportError:
        return {}
    return view


def command(service: RunningService, name: str, instance: dict[str, Any]) -> str:
    result = run_command(service.root, "local", name, instance["instance_id"])
    assert result.returncode == 0, result.stderr
    return result.stdout


def has_left(service: RunningService, instance: dict[str, Any]) -> bool:
    return instance["instance_id"] not in {one["instance_id"] for one in service.instances()}


def events(instance: dict[str, Any]) -> list[dict[str, Any]]:
    lines = [line for line in Path(instance["log"]).read_text().splitlines() if line.startswith("{")]
    # The lines without one are metrics.
    return [event for event in map(json.loads, lines) if "event" in event]


def claims(instance: dict[str, Any], task_id: str) -> int:
    return sum(is_claim(event, task_id) for event in events(instance))


def is_claim(event: dict[str, Any], task_id: str) -> bool:
    return (event["event"], event.get("task_id")) == ("task.claimed", task_id)


def last(names: list[str], name: str) -> int:
    return max(index for index, one in enumerate(names) if one == name)


def test_a_task_of_an_interrupted_instance_runs_elsewhere_within_two_seconds_of_the_decision(
    service: RunningService,
) -> None:
    task_id = a_task(service, seconds=500)
    victim = whoever_runs(service, task_id)
    command(service, "interrupt", victim)
    other = whoever_runs(service, task_id, other_than=victim["instance_id"])
    assert claimed_by(other) == {task_id: 1}
    (decision,) = [event for event in events(victim) if event["event"] == "drain.begun"]
    assert decision["kind"] == "spot_interruption"
    (claim,) = [event for event in events(other) if is_claim(event, task_id)]
    assert datetime.fromisoformat(claim["time"]) - datetime.fromisoformat(decision["time"]) <= timedelta(seconds=2)
    service.request("DELETE", f"v1alpha2/tasks/{task_id}")
    assert service.ended(task_id)["status"] == "cancelled"


def test_an_instance_that_is_scaled_in_finishes_its_task_and_then_completes_the_hook(service: RunningService) -> None:
    task_id = a_task(service, seconds=6)
    instance = whoever_runs(service, task_id)
    command(service, "terminate", instance)
    states = {one["instance_id"]: one["state"] for one in service.instances()}
    assert states[instance["instance_id"]] == "Terminating:Wait"
    assert service.ended(task_id)["status"] == "succeeded"
    eventually(lambda: has_left(service, instance))
    assert claims(instance, task_id) == 1
    names = [event["event"] for event in events(instance)]
    assert "lifecycle_action.extended" in names
    assert last(names, "task.ended") < last(names, "lifecycle_action.completed")
    supervisor = (service.root / ".sdfleet" / "local" / "logs" / "supervisor.log").read_text()
    assert "lifecycle_action.completed" in supervisor
    assert "lifecycle_action.timed_out" not in supervisor


def test_a_rebalance_recommendation_is_shown_and_work_goes_on_until_the_replacement_is_there(
    service: RunningService,
) -> None:
    task_id = a_task(service, seconds=8)
    instance = whoever_runs(service, task_id)
    command(service, "rebalance", instance)
    eventually(lambda: status(instance).get("rebalance_recommended"))
    assert service.ended(task_id)["status"] == "succeeded"
    eventually(lambda: has_left(service, instance))
    assert claims(instance, task_id) == 1


def test_an_operator_drains_an_instance_and_the_group_replaces_it(service: RunningService) -> None:
    task_id = a_task(service, seconds=500)
    instance = whoever_runs(service, task_id)
    assert "drains" in command(service, "drain", instance)
    other = whoever_runs(service, task_id, other_than=instance["instance_id"])
    assert claimed_by(other) == {task_id: 1}
    eventually(lambda: has_left(service, instance))
    service.request("DELETE", f"v1alpha2/tasks/{task_id}")
    service.ended(task_id)


@pytest.mark.parametrize("name", ["drain", "rebalance", "terminate", "interrupt"])
def test_an_unknown_instance_is_one_clear_line(service: RunningService, name: str) -> None:
    result = run_command(service.root, "local", name, "i-0")
    assert result.returncode == 1
    assert result.stderr == "Error: There is no instance i-0; `sdfleet local instances` lists them.\n"


def test_calls_that_are_not_about_leaving_instances_still_go_to_the_endpoint(service: RunningService) -> None:
    answer = service.autoscaling("DescribeAutoScalingGroups")
    assert "DescribeAutoScalingGroupsResult" in answer.text
    answer = service.autoscaling("RecordLifecycleActionHeartbeat", AutoScalingGroupName="x", LifecycleHookName="y")
    assert answer.status_code == 400
    assert "<Code>ValidationError</Code>" in answer.text
