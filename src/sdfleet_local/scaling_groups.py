"""Puts the groups of a deployment together: launcher, launch templates, hook, alarms, and who hears of refreshes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.domain import names
from sdfleet.domain.scaling import StepTable
from sdfleet.environment import SchedulerEnvironment
from sdfleet.ports import Clock
from sdfleet_local.alarms import AlarmWatch, CloudWatchAlarms, FleetAlarms
from sdfleet_local.alarms_metrics import LogMetrics
from sdfleet_local.group import LocalGroup
from sdfleet_local.groups import Groups
from sdfleet_local.instance import SchedulerLauncher
from sdfleet_local.member import SPOT_NOTICE
from sdfleet_local.own_runtime import OwnRuntimeLauncher
from sdfleet_local.plan import DEPLOYMENT_ID, REGION, LocalPlan, PlannedRuntime, PlannedScaling
from sdfleet_local.provisioning import Resources
from sdfleet_local.refresh_events import sender
from sdfleet_local.scaling_dynamic import DynamicScaling
from sdfleet_local.scaling_hooks import HookResult, LifecycleHook, Transition
from sdfleet_local.scaling_metrics import MINUTE, read_depth
from sdfleet_local.scaling_processes import Process
from sdfleet_local.scaling_rules import FleetRules
from sdfleet_local.scaling_templates import Ec2Templates, first_configuration
from sdfleet_local.scaling_watch import ScalingWatch
from sdfleet_local.state_file import LocalDirectory


@dataclass(frozen=True)
class GroupBuilder:
    plan: LocalPlan
    directory: LocalDirectory
    clients: Clients
    resources: Resources
    clock: Clock
    #: Of the processes of instances: endpoint, region and credentials.
    environment: Mapping[str, str]
    #: The embedded endpoint's host and port.
    endpoint_host: str

    def build(self, launches: Mapping[str, Mapping[str, Any]]) -> list[LocalGroup]:
        """`launches`: what `provisioning.launch_template` made, by runtime.

        Raises:
            LocalModeError: a launch template is not there.
        """
        clients, launcher = self.clients, self._launcher()
        templates = Ec2Templates(clients.ec2)
        alarms = CloudWatchAlarms(clients.cloudwatch)
        planned = {runtime.name: runtime for runtime in self.plan.runtimes}
        tell = sender(SqsTaskQueue(clients.sqs, self.resources.rollout_events.url))
        return [
            LocalGroup(
                name=names.fleet_name(DEPLOYMENT_ID, runtime.name),
                runtime=runtime.name,
                capacity=self.plan.instances,
                configuration=first_configuration(launches[runtime.name], templates),
                templates=templates,
                launcher=launcher,
                clock=self.clock,
                minimum=self.plan.min_instances or 0,
                maximum=max(self.plan.instances, planned[runtime.name].scaling.max_instances),
                scaling=self._scaling(planned[runtime.name].scaling),
                # So many instances were asked for.
                suspended=() if self.plan.scales else (Process.ALARM_NOTIFICATION,),
                read_alarms=alarms.read,
                on_event=tell,
                # What a boot may take here; Auto Scaling itself would try for an hour.
                refresh_patience=timedelta(seconds=self.plan.start_patience_s),
                hooks=self._hooks(runtime.name),
                reported_hook=names.launch_hook_name(DEPLOYMENT_ID, runtime.name),
            )
            for runtime in self.resources.deployment.runtimes
        ]

    def watch(self, groups: Groups) -> None:
        """Create the alarms of a rollout and of scaling, and look after them from now on.

        Raises:
            DeploymentError: the endpoint does not answer.
        """
        metrics = LogMetrics(self.directory.logs)
        queues = {runtime.name: runtime.queue_url for runtime in self.resources.deployment.runtimes}
        fleets = [
            FleetAlarms(
                DEPLOYMENT_ID,
                group.runtime,
                metrics,
                waiting=SqsTaskQueue(self.clients.sqs, queues[group.runtime]).depth,
                in_service=group.count_in_service,
            )
            for group in groups
        ]
        AlarmWatch(fleets, metrics, CloudWatchAlarms(self.clients.cloudwatch), self.clock).start()
        for planned in self.plan.runtimes:
            fleet = names.fleet_name(DEPLOYMENT_ID, planned.name)
            table, idle_after = StepTable(planned.scaling.steps), timedelta(seconds=planned.scaling.idle_after_s)
            if (group := groups.named(fleet)) is not None:
                FleetRules(fleet, table, idle_after).put(group.scaling.policies, self.clients.cloudwatch)
        depths = {
            names.fleet_name(DEPLOYMENT_ID, name): partial(read_depth, self.clients.sqs, url)
            for name, url in queues.items()
        }
        minute = timedelta(seconds=self.plan.scaling_minute_s)
        ScalingWatch(groups, depths, self.clients.cloudwatch, minute=minute).start()

    def _hooks(self, runtime: str) -> tuple[LifecycleHook, ...]:
        """The template's, with shorter waits."""
        return (
            LifecycleHook(
                names.launch_hook_name(DEPLOYMENT_ID, runtime),
                Transition.LAUNCHING,
                # A refresh that comes no further has failed by then.
                2 * timedelta(seconds=self.plan.start_patience_s),
            ),
            LifecycleHook(
                names.termination_hook_name(DEPLOYMENT_ID, runtime),
                Transition.TERMINATING,
                # Not below a Spot notice's two minutes, which have no heartbeats and which an instance may use up.
                SPOT_NOTICE,
                HookResult.CONTINUE,
            ),
        )

    def _scaling(self, planned: PlannedScaling) -> DynamicScaling:
        return DynamicScaling(
            warmup=timedelta(seconds=planned.warmup_s),
            cooldown=timedelta(seconds=planned.idle_after_s),
            pace=self.plan.scaling_minute_s / MINUTE.total_seconds(),
        )

    def _launcher(self) -> OwnRuntimeLauncher:
        environment = self.environment
        if self.plan.instance_endpoint_url is not None:
            environment = {**environment, "AWS_ENDPOINT_URL": self.plan.instance_endpoint_url}
        return OwnRuntimeLauncher(
            SchedulerLauncher(
                self.resources.deployment,
                {runtime.name: self._scheduler(runtime) for runtime in self.plan.runtimes},
                environment,
                REGION,
                self.directory.logs,
                self.directory.scratch,
                self.directory.releases,
            )
        )

    def _scheduler(self, runtime: PlannedRuntime) -> SchedulerEnvironment:
        plan = self.plan
        return SchedulerEnvironment(
            runtime=runtime.name,
            runtime_url=runtime.url,
            runtime_restart_command=runtime.restart_command,
            runtime_restart_after_s=runtime.restart_after_s,
            hang_after_s=runtime.hang_after_s,
            recycle_after_tasks=runtime.recycle_after_tasks,
            recycle_above_mib=runtime.recycle_above_mib,
            models_in_memory=runtime.models_in_memory,
            # S3's own links are public in the cloud; here they lead to the endpoint.
            allowed_hosts=(*plan.allowed_hosts, self.endpoint_host),
            allowed_buckets=plan.allowed_buckets,
            max_input_bytes=plan.max_input_bytes,
            link_lifetime_s=plan.link_lifetime_s,
            visibility_s=plan.visibility_s,
            model_directory=str(self.directory.models / runtime.name) if plan.reads_models(runtime) else None,
            group_name=names.fleet_name(DEPLOYMENT_ID, runtime.name),
            termination_hook=names.termination_hook_name(DEPLOYMENT_ID, runtime.name),
            termination_hook_timeout_s=SPOT_NOTICE.total_seconds(),
        )
