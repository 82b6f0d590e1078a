"""Instances of a local deployment tell how their boot went, as those of EC2 do."""

from __future__ import annotations

import json
from typing import Any

from running_service import RunningService, eventually, run_command
from sdfleet.aws.boot_log import BootReport
from sdfleet_cli.commands.launch_benchmark import LocalBootLog
from sdfleet_local.deployment import LocalDeployment


def boots(service: RunningService) -> list[dict[str, Any]]:
    logs = LocalDeployment(service.root).directory.logs
    lines = (
        line for file in logs.glob("i-*.log") for line in file.read_text().splitlines() if '"boot.completed"' in line
    )
    return [json.loads(line) for line in lines]


def test_each_instance_tells_once_how_long_its_boot_took_and_where(local_deployment: RunningService) -> None:
    found = eventually(lambda: [*boots(local_deployment)] if len(boots(local_deployment)) >= 3 else None)
    assert len({one["instance_id"] for one in found}) == len(found)
    for one in found:
        assert one["release"]
        assert {"scheduler", "picture"} <= one["phases"].keys()
        assert 0 < one["phases"]["scheduler"] <= one["total_s"]
        assert one["BootSeconds"] == one["total_s"]


def test_the_launch_benchmark_reads_it(local_deployment: RunningService) -> None:
    log = LocalBootLog(LocalDeployment(local_deployment.root).directory.logs)
    (first, *_) = eventually(lambda: boots(local_deployment))
    report = log.read(first["instance_id"])
    assert isinstance(report, BootReport)
    assert report.total_s == first["total_s"]


def test_launches_are_measured_on_this_machine_and_ended(local_deployment: RunningService) -> None:
    ran = run_command(local_deployment.root, "launch-benchmark", "local", "--launches", "1", "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    (launch,) = document["launches"]
    assert launch["failure"] is None
    assert {"order to instance", "order to service", "launch to picture", "scheduler", "picture"} <= launch[
        "seconds"
    ].keys()
    assert document["phases"]["launch to picture"]["p95_s"] == launch["seconds"]["launch to picture"]
    # It was found with three, and is left with them.
    eventually(lambda: len(local_deployment.instances_in_service()) == 3)
