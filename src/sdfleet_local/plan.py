"""What a local deployment consists of, decided before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sdfleet.domain import scaling
from sdfleet.domain.task import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT, RuntimeType
from sdfleet.environment import SchedulerEnvironment
from sdfleet.scaler_environment import ScaledFleetEnvironment

DEPLOYMENT_ID = "local"
#: What every instance runs until something rolls out another.
RELEASE = "1.0.0"
#: moto keeps regions apart; the seeds' commands name this one.
REGION = "us-east-1"
#: moto's.
ACCOUNT = "123456789012"
#: Free on most machines, and easy to remember.
DEFAULT_PORT = 8080


@dataclass(frozen=True)
class PlannedScaling:
    """By the queue's depth, as the configuration has it."""

    steps: tuple[scaling.Step, ...] = scaling.DEFAULT_STEPS.steps
    idle_after_s: int = int(scaling.DEFAULT_IDLE_AFTER.total_seconds())
    warmup_s: int = int(scaling.DEFAULT_WARM_UP.total_seconds())
    max_instances: int = 5
    #: Decide within seconds, and not by alarms alone; the rest is what that aims at (`ScaledFleetEnvironment`).
    has_fast_scaler: bool = True
    target_queue_s: int = ScaledFleetEnvironment.target_queue_s
    surplus_after_s: int = ScaledFleetEnvironment.surplus_after_s
    most_boot_failures: int = ScaledFleetEnvironment.most_boot_failures

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> PlannedScaling:
        return cls(**{**fields, "steps": tuple(scaling.Step(**step) for step in fields["steps"])})


@dataclass(frozen=True)
class PlannedRuntime:
    name: str
    type: RuntimeType
    #: The user's own server; None for the test pattern. `{instance_id}` in it, or `{port}` for a free one: every
    #: instance has one of its own.
    url: str | None = None
    #: Starts an instance's server again (`SchedulerEnvironment`); may hold `{instance_id}`.
    restart_command: str | None = None
    restart_after_s: float = SchedulerEnvironment.runtime_restart_after_s
    hang_after_s: float = SchedulerEnvironment.hang_after_s
    recycle_after_tasks: int | None = None
    recycle_above_mib: int | None = None
    models_in_memory: int | None = None
    model_filename: str | None = None
    dynamic_model: bool = False
    timeout_s: int = int(DEFAULT_TIMEOUT.total_seconds())
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    scaling: PlannedScaling = PlannedScaling()


@dataclass(frozen=True)
class LocalPlan:
    runtimes: tuple[PlannedRuntime, ...]
    #: Of each runtime's group at first. It scales if that is 0 or if it has a minimum, otherwise it stays so large.
    instances: int
    #: Where the API listens.
    port: int
    #: Requests a second, and how many may come at once.
    rate: float
    burst: int
    waiting_cap: int
    link_lifetime_s: int
    max_input_bytes: int
    allowed_hosts: tuple[str, ...] = ()
    allowed_buckets: tuple[str, ...] = ()
    model_bucket: str | None = None
    #: Of all fleets as configured: what they would cost on Spot.
    instance_types: tuple[str, ...] = ()
    #: Where the instances make their AWS calls, if not straight at the embedded endpoint.
    instance_endpoint_url: str | None = None
    #: Of a message in an instance's hands (`SchedulerEnvironment`).
    visibility_s: int = 20
    #: Until everything answers. Ready within 15 s on two free cores; a busy machine gets four times that.
    start_patience_s: float = 60.0
    #: What one of CloudWatch's minutes takes here, and warm-up and cooldown in proportion: a tenth.
    scaling_minute_s: float = 6.0
    #: The least of a group that scales. None: 0, or `instances` for ever.
    min_instances: int | None = None
    #: What the embedded endpoint's calls take, by service, in milliseconds (`aws_latency`).
    aws_latency_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def scales(self) -> bool:
        return self.instances == 0 or self.min_instances is not None

    def reads_models(self, runtime: PlannedRuntime) -> bool:
        """Whether the model bucket's files are fetched for the user's own server."""
        return self.model_bucket is not None and runtime.type in (RuntimeType.SDWEBUI, RuntimeType.COMFYUI)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LocalPlan:
        fields: dict[str, Any] = json.loads(text)
        runtimes = [_runtime(one) for one in fields.pop("runtimes")]
        for name in ("allowed_hosts", "allowed_buckets", "instance_types"):
            fields[name] = tuple(fields[name])
        return cls(runtimes=tuple(runtimes), **fields)


def _runtime(fields: Mapping[str, Any]) -> PlannedRuntime:
    scaled = PlannedScaling.from_fields(fields["scaling"])
    return PlannedRuntime(**{**fields, "type": RuntimeType(fields["type"]), "scaling": scaled})
