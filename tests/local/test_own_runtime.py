"""Instances that each have a runtime's server of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment
from sdfleet_local.instance import SchedulerInstance, SchedulerLauncher
from sdfleet_local.own_runtime import OwnRuntimeLauncher


@dataclass(frozen=True)
class RecordingLauncher(SchedulerLauncher):
    launched: list[SchedulerEnvironment] = field(default_factory=list)

    def launch(self, runtime: str, instance_id: str, release: str) -> SchedulerInstance:
        self.launched.append(self.schedulers[runtime])
        return cast(SchedulerInstance, None)


def launched(scheduler: SchedulerEnvironment, *instance_ids: str) -> list[SchedulerEnvironment]:
    here = Path()
    deployment = cast(DeploymentEnvironment, None)
    recording = RecordingLauncher(deployment, {scheduler.runtime: scheduler}, {}, "us-east-1", here, here)
    for instance_id in instance_ids:
        OwnRuntimeLauncher(recording).launch(scheduler.runtime, instance_id, "1.0.0")
    return recording.launched


def test_an_instances_id_stands_in_its_runtimes_url_and_restart_command() -> None:
    scheduler = SchedulerEnvironment(
        runtime="one", runtime_url="http://127.0.0.1:1/{instance_id}", runtime_restart_command="touch /x/{instance_id}"
    )
    (found,) = launched(scheduler, "i-1")
    assert (found.runtime_url, found.runtime_restart_command) == ("http://127.0.0.1:1/i-1", "touch /x/i-1")


def test_each_instances_server_gets_a_port_of_its_own() -> None:
    found = launched(SchedulerEnvironment(runtime="one", runtime_url="http://127.0.0.1:{port}"), "i-1", "i-2")
    assert len({one.runtime_url for one in found}) == 2
    assert "{" not in "".join(str(one.runtime_url) for one in found)


def test_a_server_that_all_share_keeps_its_url() -> None:
    (found,) = launched(SchedulerEnvironment(runtime="one", runtime_url="http://127.0.0.1:8188"), "i-1")
    assert (found.runtime_url, found.runtime_restart_command) == ("http://127.0.0.1:8188", None)
