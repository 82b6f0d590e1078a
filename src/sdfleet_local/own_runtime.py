"""Instances that each have a runtime of their own, as on GPU machines, told apart by the server's URL."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sdfleet_local.instance import SchedulerInstance, SchedulerLauncher

#: Stands for the instance's id in a runtime's URL.
PLACEHOLDER = "{instance_id}"


@dataclass(frozen=True)
class OwnRuntimeLauncher:
    launcher: SchedulerLauncher

    def launch(self, runtime: str, instance_id: str) -> SchedulerInstance:
        scheduler = self.launcher.schedulers[runtime]
        if scheduler.runtime_url is not None:
            url = scheduler.runtime_url.replace(PLACEHOLDER, instance_id)
            scheduler = replace(scheduler, runtime_url=url)
        return replace(self.launcher, schedulers={runtime: scheduler}).launch(runtime, instance_id)
