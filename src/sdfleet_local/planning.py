"""From the configuration file and the command line to the plan of a local deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sdfleet.config import Config, RuntimeConfig
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import LocalModeError
from sdfleet_local import runtime_probe
from sdfleet_local.plan import LocalPlan, PlannedRuntime, PlannedScaling


@dataclass(frozen=True)
class LocalOptions:
    """What the command line says; the command has checked that it goes together."""

    instances: int
    port: int
    runtime_type: RuntimeType | None = None
    runtime_url: str | None = None
    runtime_name: str | None = None
    aws_latency_ms: Mapping[str, float] = field(default_factory=dict)
    scaling_minute_s: float = LocalPlan.scaling_minute_s
    #: None: the group stays at `instances`, unless that is 0.
    min_instances: int | None = None
    #: None: as configured.
    has_fast_scaler: bool | None = None


@dataclass(frozen=True)
class Planned:
    plan: LocalPlan
    #: What differs from the configuration file, for the user to know.
    notes: tuple[str, ...]


def plan_deployment(config: Config, options: LocalOptions) -> Planned:
    """Raises:
    LocalModeError: an option speaks of one runtime where there are several, or the user's server does not answer.
    """
    _check_single(config, options)
    runtimes = []
    notes = []
    for configured in config.runtimes:
        if options.runtime_url is not None and options.runtime_type is not None:
            planned = _on_own_server(configured, options.runtime_type, options.runtime_url)
        else:
            planned = _on_test_pattern(configured)
            if configured.type is not RuntimeType.TEST_PATTERN:
                notes.append(
                    f"{options.runtime_name or configured.name}: test pictures instead of {configured.type};"
                    " --runtime-type and --runtime-url use your own server"
                )
        if options.has_fast_scaler is not None:
            planned = replace(planned, scaling=replace(planned.scaling, has_fast_scaler=options.has_fast_scaler))
        runtimes.append(replace(planned, name=options.runtime_name or planned.name))
    throttle = config.api_gateway.throttle
    plan = LocalPlan(
        runtimes=tuple(runtimes),
        instances=options.instances,
        port=options.port,
        rate=throttle.rate_limit,
        burst=throttle.burst_limit,
        waiting_cap=config.waiting_cap,
        link_lifetime_s=config.link_lifetime_s,
        max_input_bytes=config.inputs.max_size_bytes,
        allowed_hosts=config.inputs.allowed_hosts,
        allowed_buckets=config.inputs.allowed_buckets,
        model_bucket=config.model_bucket,
        instance_types=tuple(sorted({one for runtime in config.runtimes for one in runtime.fleet.instance_types})),
        aws_latency_ms=options.aws_latency_ms,
        scaling_minute_s=options.scaling_minute_s,
        min_instances=options.min_instances,
    )
    return Planned(plan, tuple(notes))


def _check_single(config: Config, options: LocalOptions) -> None:
    if len(config.runtimes) == 1:
        return
    for option, value in (("--runtime-url", options.runtime_url), ("--runtime-name", options.runtime_name)):
        if value is not None:
            names = ", ".join(runtime.name for runtime in config.runtimes)
            raise LocalModeError(f"{option} is for one runtime and the configuration has {names}; keep one of them.")


def _on_own_server(configured: RuntimeConfig, runtime_type: RuntimeType, url: str) -> PlannedRuntime:
    url = runtime_probe.checked_url(url)
    return replace(
        _on_test_pattern(configured),
        type=runtime_type,
        url=url,
        model_filename=runtime_probe.probe(runtime_type, url),
        dynamic_model=configured.dynamic_model and runtime_type is RuntimeType.SDWEBUI,
    )


def _on_test_pattern(configured: RuntimeConfig) -> PlannedRuntime:
    return PlannedRuntime(
        name=configured.name,
        type=RuntimeType.TEST_PATTERN,
        model_filename=configured.model_filename,
        dynamic_model=configured.dynamic_model,
        timeout_s=configured.task_timeout_s,
        max_attempts=configured.max_attempts,
        restart_after_s=configured.restart_after_s,
        hang_after_s=configured.hang_after_s,
        recycle_after_tasks=configured.recycle_after_tasks,
        recycle_above_mib=configured.recycle_above_mib,
        models_in_memory=configured.models_in_memory,
        scaling=PlannedScaling(
            steps=configured.fleet.scaling.step_table.steps,
            idle_after_s=configured.fleet.scaling.cooldown_s,
            warmup_s=configured.fleet.scaling.warmup_s,
            max_instances=configured.fleet.max_size,
            has_fast_scaler=configured.fleet.scaling.fast_scaler,
            target_queue_s=configured.fleet.scaling.target_queue_s,
            surplus_after_s=configured.fleet.scaling.surplus_idle_s,
            most_boot_failures=configured.fleet.scaling.most_boot_failures,
        ),
    )
