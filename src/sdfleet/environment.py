"""What a process reads at start: the deployment writes it with `to_env`, the process reads it with `from_env`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

from sdfleet.domain import names
from sdfleet.domain.task import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT, TASKTYPES_OF, RuntimeType, TaskType
from sdfleet.errors import ConfigError

T = TypeVar("T")

_DEPLOYMENT = "SDFLEET_DEPLOYMENT"
_HANDLERS = "SDFLEET_HANDLERS"
_SCHEDULER = "SDFLEET_SCHEDULER"
_ROLLOUTS = "SDFLEET_ROLLOUTS"
_CALLBACKS = "SDFLEET_CALLBACKS"
_SPOT_PRICES = "SDFLEET_SPOT_PRICES"


@dataclass(frozen=True)
class RuntimeEnvironment:
    """One runtime of the deployment and its fleet's queue."""

    name: str
    type: RuntimeType
    queue_url: str
    dead_letter_queue_url: str
    #: The static model, or what a dynamic runtime starts with; None: whatever the server has loaded.
    model_filename: str | None = None
    dynamic_model: bool = False
    timeout_s: int = int(DEFAULT_TIMEOUT.total_seconds())
    max_attempts: int = DEFAULT_MAX_ATTEMPTS

    @property
    def tasktypes(self) -> tuple[TaskType, ...]:
        return TASKTYPES_OF[self.type]

    @property
    def timeout(self) -> timedelta:
        return timedelta(seconds=self.timeout_s)


@dataclass(frozen=True)
class LinkEnvironment:
    """How links through the CDN are signed."""

    domain_name: str
    #: The CDN's id of the public key.
    key_pair_id: str
    #: SSM parameter of the private key, in PEM.
    private_key_parameter: str


@dataclass(frozen=True)
class DeploymentEnvironment:
    """The shared resources of one deployment."""

    deployment_id: str
    table_name: str
    output_bucket: str
    #: Contents, uploads and dead letters.
    inbox_bucket: str
    request_topic_arn: str
    result_topic_arn: str
    runtimes: tuple[RuntimeEnvironment, ...]
    model_bucket: str | None = None
    #: Links to outputs go through the CDN; None: they are presigned S3 links.
    links: LinkEnvironment | None = None

    @property
    def dead_letter_queue_urls(self) -> tuple[str, ...]:
        """Of the submissions and the fleets; none where there is no runtime."""
        fleets = [runtime.dead_letter_queue_url for runtime in self.runtimes]
        if not fleets:
            return ()
        # All lie beside each other, and a function's environment has no room for what can be told from its name.
        beside = fleets[0].rpartition("/")[0]
        submissions = names.dead_letter_queue_name(names.submission_queue_name(self.deployment_id))
        return (f"{beside}/{submissions}", *fleets)

    def runtime(self, name: str) -> RuntimeEnvironment | None:
        return next((runtime for runtime in self.runtimes if runtime.name == name), None)

    def to_env(self) -> dict[str, str]:
        return {_DEPLOYMENT: json.dumps(asdict(self))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises:
        ConfigError: the variable is missing or does not fit.
        """
        fields = fields_of(environ, _DEPLOYMENT)
        try:
            runtimes = tuple(
                RuntimeEnvironment(**{**runtime, "type": RuntimeType(runtime["type"])})
                for runtime in fields.pop("runtimes")
            )
            links = fields.pop("links", None)
            return cls(runtimes=runtimes, links=LinkEnvironment(**links) if links else None, **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{_DEPLOYMENT} does not fit this version: {error}") from error


@dataclass(frozen=True)
class HandlerEnvironment:
    """What the request handlers need beside the deployment."""

    #: Requests that may wait for their task at once; below the account's Lambda concurrency (wire contract, Waiting).
    waiting_cap: int = 20
    #: Lifetime of the links in answers; an S3 link lives no longer than its signer's credentials.
    link_lifetime_s: int = 3600
    log_level: str = "INFO"
    #: Host names (or `host:port`) that callbacks may go to although they are neither public nor speak https.
    callback_hosts: tuple[str, ...] = ()
    #: Topic that wakes the fast scaler, and the runtimes whose fleets have it (none named: all); None: no fleet has.
    wake_topic_arn: str | None = None
    scaled_runtimes: tuple[str, ...] = ()

    def to_env(self) -> dict[str, str]:
        return {_HANDLERS: json.dumps(asdict(self))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        return _build(cls, environ, _HANDLERS)


@dataclass(frozen=True)
class CallbackEnvironment:
    """What the delivery of callbacks needs; it knows nothing else of the deployment."""

    deployment_id: str
    #: The callback queue, whose messages wait there for their next try.
    queue_url: str
    #: As `HandlerEnvironment.callback_hosts`.
    named_hosts: tuple[str, ...] = ()
    log_level: str = "INFO"

    @property
    def secret_parameter(self) -> str:
        """SSM parameter of the signing secrets."""
        return names.callback_secret_parameter(self.deployment_id)

    def to_env(self) -> dict[str, str]:
        return {_CALLBACKS: json.dumps(asdict(self))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises:
        ConfigError: the variable is missing or does not fit.
        """
        return _build(cls, environ, _CALLBACKS)


@dataclass(frozen=True)
class SpotPriceEnvironment:
    """What the recorder of Spot prices needs."""

    table_name: str
    #: Of all fleets, each once.
    instance_types: tuple[str, ...]
    #: Empty: all of the region.
    zones: tuple[str, ...] = ()
    log_level: str = "INFO"

    def to_env(self) -> dict[str, str]:
        return {_SPOT_PRICES: json.dumps(asdict(self))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises:
        ConfigError: the variable is missing or does not fit.
        """
        return _build(cls, environ, _SPOT_PRICES)


@dataclass(frozen=True)
class RolloutEnvironment:
    """What the recorder of rollouts needs."""

    deployment_id: str
    table_name: str
    #: Names of the fleets' runtimes.
    runtimes: tuple[str, ...]
    log_level: str = "INFO"

    def to_env(self) -> dict[str, str]:
        return {_ROLLOUTS: json.dumps(asdict(self))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        return _build(cls, environ, _ROLLOUTS)


@dataclass(frozen=True)
class SchedulerEnvironment:
    """What an instance's api-scheduler needs beside the deployment. Id and release come from the metadata service."""

    #: The runtime it serves, by name.
    runtime: str
    #: The local server; None for the test pattern.
    runtime_url: str | None = None
    #: Where /healthz, /readyz, /metrics and /v1/status listen.
    host: str = "127.0.0.1"
    port: int = 8000
    #: A killed instance's task is visible to others after this at the latest; the heartbeat comes at a third of it.
    visibility_s: int = 20
    #: Host names (or `host:port`) that links may point at although they are not public.
    allowed_hosts: tuple[str, ...] = ()
    #: Buckets beside the deployment's own that links may point at.
    allowed_buckets: tuple[str, ...] = ()
    #: One fetched input may have this many bytes and take this long.
    max_input_bytes: int = 64 * 1024 * 1024
    input_timeout_s: float = 30.0
    #: SIGTERM: finish within this, or give the task back. Below systemd's 90 s.
    drain_timeout_s: float = 75.0
    #: The fleet's Auto Scaling group and its termination hook; None: there is nothing to complete.
    group_name: str | None = None
    termination_hook: str | None = None
    #: The hook's own timeout; a heartbeat comes at a third of it.
    termination_hook_timeout_s: float = 3600.0
    #: The group's launch hook, completed after the first picture; None: nobody waits for that.
    launch_hook: str | None = None
    #: Where the boot scripts and the scheduler tell each other how the boot goes; None: there are no scripts.
    boot_directory: str | None = None
    #: An instance that has made no picture so long after its launch is given up; None: it has all the time.
    boot_patience_s: float | None = None
    link_lifetime_s: int = 3600
    #: Starts the runtime's server again, in words without a shell (`systemctl restart ...`); None: nobody may.
    runtime_restart_command: str | None = None
    #: A server that has not been ready for this long is restarted: above its longest start.
    runtime_restart_after_s: float = 180.0
    #: A task of which the server says nothing for this long hangs. Above the longest step that reports no progress.
    hang_after_s: float = 600.0
    #: Start an idle server again after this many tasks; None: never.
    recycle_after_tasks: int | None = None
    #: Start it again when it is idle and takes more main memory than this by its own word; None: never.
    recycle_above_mib: int | None = None
    #: sdwebui: so many checkpoints stay in the server's memory, one of them on the GPU; None: as it is configured.
    models_in_memory: int | None = None
    #: Where the runtime's server finds models, in the model bucket's layout; None: none are fetched.
    model_directory: str | None = None
    #: What models may take there; None: nine tenths of its disk.
    model_cache_bytes: int | None = None
    log_level: str = "INFO"

    @property
    def visibility(self) -> timedelta:
        return timedelta(seconds=self.visibility_s)

    @property
    def drain_timeout(self) -> timedelta:
        return timedelta(seconds=self.drain_timeout_s)

    @property
    def boot_patience(self) -> timedelta | None:
        return None if self.boot_patience_s is None else timedelta(seconds=self.boot_patience_s)

    @property
    def runtime_restart_after(self) -> timedelta:
        return timedelta(seconds=self.runtime_restart_after_s)

    @property
    def hang_after(self) -> timedelta:
        return timedelta(seconds=self.hang_after_s)

    def to_env(self) -> dict[str, str]:
        return {_SCHEDULER: json.dumps(asdict(self))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        return _build(cls, environ, _SCHEDULER)


def _build(cls: type[T], environ: Mapping[str, str], variable: str) -> T:
    fields = fields_of(environ, variable)
    try:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})
    except TypeError as error:
        raise ConfigError(f"{variable} does not fit this version: {error}") from error


def fields_of(environ: Mapping[str, str], variable: str) -> dict[str, Any]:
    if variable not in environ:
        raise ConfigError(f"The environment variable {variable} is not set; the deployment sets it for its processes.")
    try:
        value = json.loads(environ[variable])
    except ValueError as error:
        raise ConfigError(f"{variable} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{variable} must be a JSON object")
    return value
