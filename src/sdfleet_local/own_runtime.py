"""Instances that each have a runtime of their own, as on GPU machines, told apart by the server's URL."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sdfleet_local.instance import SchedulerInstance, SchedulerLauncher
from sdfleet_local.loopback import free_port

#: Stands for the instance's id in a runtime's URL and restart command.
PLACEHOLDER = "{instance_id}"
#: Stands for a free port in a runtime's URL.
PORT = "{port}"


@dataclass(frozen=True)
class OwnRuntimeLauncher:
    launcher: SchedulerLauncher

    def launch(self, runtime: str, instance_id: str, release: str) -> SchedulerInstance:
        scheduler = self.launcher.schedulers[runtime]
        if scheduler.runtime_url is not None:
            url = scheduler.runtime_url.replace(PLACEHOLDER, instance_id)
            if PORT in url:
                url = url.replace(PORT, str(free_port()))
            scheduler = replace(scheduler, runtime_url=url)
        if scheduler.runtime_restart_command is not None:
            command = scheduler.runtime_restart_command.replace(PLACEHOLDER, instance_id)
            scheduler = replace(scheduler, runtime_restart_command=command)
        return replace(self.launcher, schedulers={runtime: scheduler}).launch(runtime, instance_id, release)
