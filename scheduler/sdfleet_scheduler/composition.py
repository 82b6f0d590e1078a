"""Builds the process from its environment. The only place that knows the concrete classes."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.instance_health import AutoScalingInstanceHealth
from sdfleet.aws.lifecycle_hooks import AutoScalingLifecycleHooks
from sdfleet.aws.rollout_table import DynamoRollouts
from sdfleet.aws.scaler_table import DynamoWorkReports
from sdfleet.aws.signed_links import artifact_store
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.task_table import DynamoTaskStore
from sdfleet.aws.topic import SnsTopic
from sdfleet.domain import interruption
from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment
from sdfleet.errors import ConfigError
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler.app import build_app
from sdfleet_scheduler.attempts import Attempts
from sdfleet_scheduler.boot import Boot
from sdfleet_scheduler.boot_composition import build_boot
from sdfleet_scheduler.circuit_breaker import CircuitBreaker
from sdfleet_scheduler.dead_letters import DeadLetters
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.executor import Executor
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.heartbeat import Heartbeat
from sdfleet_scheduler.identity import Identity, identify
from sdfleet_scheduler.inputs import Inputs
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.interruption_watch import InterruptionWatch
from sdfleet_scheduler.lifecycle import Lifecycle, TerminationHook
from sdfleet_scheduler.line import Line
from sdfleet_scheduler.metadata import ENDPOINT_VARIABLE, InstanceMetadata, metadata_client
from sdfleet_scheduler.model_composition import build_models
from sdfleet_scheduler.model_switches import ModelSwitches
from sdfleet_scheduler.pace import Pace
from sdfleet_scheduler.poller import Poller
from sdfleet_scheduler.presence import Presence
from sdfleet_scheduler.recycling import Recycling
from sdfleet_scheduler.runtime_keeper import RuntimeKeeper, shell_free_command
from sdfleet_scheduler.runtimes.base import ServedRuntime
from sdfleet_scheduler.runtimes.registry import RuntimeSettings, build_runtime
from sdfleet_scheduler.settlement import Settlement
from sdfleet_scheduler.status import StatusBoard
from sdfleet_scheduler.task_tally import TaskTally
from sdfleet_scheduler.trial import Trial
from sdfleet_scheduler.work_reports import WorkReporter

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the supervisor runs."""

    identity: Identity
    environment: SchedulerEnvironment
    health: RuntimeHealth
    drain: Drain
    watch: InterruptionWatch
    lifecycle: Lifecycle
    executor: Executor
    poller: Poller
    tally: TaskTally
    #: None: nobody may restart the runtime's server.
    keeper: RuntimeKeeper | None
    clock: Clock
    app: FastAPI
    #: What must be closed at the end, in this order.
    closing: tuple[Callable[[], Awaitable[None]], ...]
    #: None: it is no group's instance.
    presence: Presence | None = None
    #: None: nobody follows its way into service.
    boot: Boot | None = None
    reporter: WorkReporter | None = None


async def compose(environ: Mapping[str, str]) -> Parts:
    """Raises:
    ConfigError: the environment does not fit.
    """
    deployment = DeploymentEnvironment.from_env(environ)
    environment = SchedulerEnvironment.from_env(environ)
    served = deployment.runtime(environment.runtime)
    if served is None:
        names = ", ".join(runtime.name for runtime in deployment.runtimes)
        raise ConfigError(f"The deployment has no runtime {environment.runtime!r}; it has {names}.")

    clock = SystemClock()
    instruments = Instruments()
    drain = Drain()
    scratch = Path(tempfile.mkdtemp(prefix="sdfleet-"))
    switches = ModelSwitches(instruments)
    runtime = build_runtime(
        served.type,
        environment.runtime_url,
        RuntimeSettings(
            model=served.model_filename,
            scratch=scratch,
            hang_after=environment.hang_after,
            keep_models=environment.models_in_memory,
            on_loaded=switches.loaded,
        ),
    )
    pace = Pace()
    line = Line(pace, clock)
    health = RuntimeHealth(
        runtime,
        instruments,
        is_busy=lambda: line.is_busy,
        breaker=CircuitBreaker(clock),
        has_its_files=lambda: models.is_synced,
        prove=lambda: boot.prove(),
    )
    service = InstanceMetadata(metadata_client(environ.get(ENDPOINT_VARIABLE)))
    identity = await identify(service, fallback_instance_id=f"{socket.gethostname()}-{os.getpid()}")
    clients = Clients()
    hook = _termination_hook(environment, clients)
    watch = InterruptionWatch(
        service,
        drain,
        clock,
        drain_timeout=environment.drain_timeout,
        longest_wait=None if hook is None else interruption.longest_wait(hook.timeout),
    )
    lifecycle = Lifecycle(
        hook,
        watch,
        drain,
        clock,
        instance_id=identity.instance_id,
        health=None if environment.group_name is None else AutoScalingInstanceHealth(clients.autoscaling),
    )
    queue = SqsTaskQueue(clients.sqs, served.queue_url)
    artifacts = artifact_store(clients, deployment)
    result_topic = SnsTopic(clients.sns, deployment.result_topic_arn)
    keeper: RuntimeKeeper | None = None
    models = build_models(
        environment,
        deployment,
        served,
        clients,
        runtime,
        on_fetched=switches.fetched,
        on_behind=lambda: _is_restarted(keeper),
    )
    boot = await build_boot(
        environment=environment,
        deployment=deployment,
        served=served,
        identity=identity,
        service=service,
        clients=clients,
        clock=clock,
        runtime=runtime,
        models=models,
        on_failed=lambda: drain.begin(Notice(NoticeKind.RUNTIME_HOPELESS, clock.now() + environment.drain_timeout)),
    )
    inputs = Inputs(environment=environment, deployment=deployment, artifacts=artifacts)
    tally = TaskTally(deployment.deployment_id)
    settlement = Settlement(
        deployment,
        artifacts,
        result_topic,
        clock,
        instruments,
        tally,
        link_lifetime=timedelta(seconds=environment.link_lifetime_s),
        release=identity.release,
    )
    attempts = Attempts(
        runtime=runtime,
        environment=served,
        artifacts=artifacts,
        models=models,
        inputs=inputs,
        health=health,
        line=line,
        pace=pace,
        clock=clock,
        instruments=instruments,
        instance_id=identity.instance_id,
    )
    executor = Executor(
        attempts=attempts,
        queue=queue,
        store=DynamoTaskStore(clients.dynamodb, deployment.table_name),
        settlement=settlement,
        dead_letters=DeadLetters(
            deployment, served.name, artifacts, result_topic, clock, instruments, release=identity.release
        ),
        heartbeat=Heartbeat(clock, visibility=environment.visibility),
        health=health,
        drain=drain,
        is_at_risk=lambda: watch.is_rebalance_recommended,
        clock=clock,
        visibility=environment.visibility,
        new_token=lambda: secrets.token_hex(16),
        is_on_trial=Trial(
            DynamoRollouts(clients.dynamodb, deployment.table_name),
            clock,
            runtime=served.name,
            release=identity.release,
        ).is_on,
    )
    poller = Poller(
        queue,
        executor,
        health,
        drain,
        line,
        clock,
        instruments,
        visibility=environment.visibility,
        may_look_ahead=lambda: not watch.is_rebalance_recommended,
    )
    if environment.runtime_restart_command is not None:
        keeper = RuntimeKeeper(
            health,
            clock,
            shell_free_command(environment.runtime_restart_command),
            is_idle=lambda: not line.is_busy and all(run.is_settling for run in executor.runs),
            recycling=Recycling(
                clock,
                lambda: line.served,
                after_tasks=environment.recycle_after_tasks,
                above_mib=environment.recycle_above_mib,
                memory=runtime.memory_used if isinstance(runtime, ServedRuntime) else None,
            ),
            on_hopeless=lambda: _give_up(boot, drain, clock, environment),
            restart_after=environment.runtime_restart_after,
        )
    await models.start()
    board = StatusBoard(identity, served, executor, health, drain, watch)
    return Parts(
        identity=identity,
        environment=environment,
        health=health,
        boot=boot,
        drain=drain,
        watch=watch,
        lifecycle=lifecycle,
        executor=executor,
        poller=poller,
        tally=tally,
        keeper=keeper,
        presence=None
        if environment.group_name is None
        else Presence(
            service,
            environment.group_name,
            clock,
            release=identity.release,
            is_well=lambda: health.is_ready or health.is_withheld,
            patience=environment.runtime_restart_after,
        ),
        reporter=None
        if environment.group_name is None
        else WorkReporter(
            DynamoWorkReports(clients.dynamodb, deployment.table_name),
            clock,
            instance_id=identity.instance_id,
            is_ready=lambda: health.is_ready,
            in_hand=lambda: len(executor.runs),
            served=lambda: line.served,
            task_time=lambda: pace.task_time,
        ),
        clock=clock,
        app=build_app(
            identity,
            board,
            instruments,
            begin_drain=lambda: drain.begin(Notice(NoticeKind.OPERATOR, clock.now() + environment.drain_timeout)),
        ),
        closing=(runtime.close, models.close, inputs.close, service.close),
    )


def _give_up(boot: Boot, drain: Drain, clock: Clock, environment: SchedulerEnvironment) -> None:
    """The runtime's server does not come back."""
    boot.fail("The runtime's server does not become ready, restarted or not.")
    drain.begin(Notice(NoticeKind.RUNTIME_HOPELESS, clock.now() + environment.drain_timeout))


def _is_restarted(keeper: RuntimeKeeper | None) -> bool:
    """Whether a server that lacks files is started again for them."""
    if keeper is None:
        log.warning("models.server_behind")
        return False
    keeper.want_restart("files")
    return True


def _termination_hook(environment: SchedulerEnvironment, clients: Clients) -> TerminationHook | None:
    if environment.group_name is None or environment.termination_hook is None:
        return None
    return TerminationHook(
        AutoScalingLifecycleHooks(
            clients.autoscaling, group_name=environment.group_name, hook_name=environment.termination_hook
        ),
        timeout=timedelta(seconds=environment.termination_hook_timeout_s),
        drain_timeout=environment.drain_timeout,
    )
