"""Instances of a local deployment tell how their boot went, as those of EC2 do."""

from __future__ import annotations

import json
from typing import Any

from running_service import RunningService, eventually
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
