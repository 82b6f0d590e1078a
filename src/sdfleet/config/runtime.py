"""One entry of modelsRuntime: what is served, and what serves it."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from sdfleet.config.fleet import FleetConfig
from sdfleet.config.section import (
    Commit,
    EnvironmentName,
    ImageReference,
    ModelFilename,
    RepositoryUrl,
    RuntimeName,
    Section,
)
from sdfleet.domain.task import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT, RuntimeType
from sdfleet.domain.wire.requests import MAX_TIMEOUT_S
from sdfleet.environment import SchedulerEnvironment

#: How long a killed instance's task stays invisible at most (`SchedulerEnvironment.visibility_s`).
_LEASE = timedelta(seconds=20)
#: Upload, record and notice of a task that ended at the last moment, with room.
_SETTLEMENT = timedelta(minutes=2)
#: EC2 Auto Scaling's longest for one heartbeat (API Reference, PutLifecycleHook).
_LONGEST_HOOK = timedelta(hours=2)
#: The stock AMI pulls two container images of up to 15 GB before it is ready; a dead boot is not paid for longer.
_LAUNCH_HOOK = timedelta(minutes=20)
_PORTS = {
    RuntimeType.SDWEBUI: 7860,
    RuntimeType.COMFYUI: 8188,
    RuntimeType.CUSTOM: 9000,
    RuntimeType.TEST_PATTERN: 9000,
}


class ImagesConfig(Section):
    """Container images, from any OCI registry that the instances reach. null: built by us, in the account's ECR."""

    runtime: ImageReference | None = None
    """The runtime's server. A custom runtime needs one."""
    scheduler: ImageReference | None = None
    """The api-scheduler beside it."""


class PinnedRepository(Section):
    """Code that is put into the runtime's container image, exactly as it was at one commit."""

    repository: RepositoryUrl
    """The git repository."""
    commit: Commit
    """The full commit."""


class RuntimeConfig(Section):
    """One runtime and its fleet."""

    name: RuntimeName
    """How requests name it; also part of the names of queue and group. Unique, also in camel case."""
    type: RuntimeType = Field(strict=False)
    """sdwebui, comfyui, custom (any server with our HTTP contract) or test_pattern (needs no GPU)."""
    model_filename: ModelFilename | None = None
    """sdwebui: the model of a static runtime, or what a dynamic one starts with. Unique: v1alpha1 requests are routed
    by it."""
    dynamic_model: bool = False
    """sdwebui: a request may name another model of the bucket. A switch takes seconds of GPU time."""
    task_timeout_s: int = Field(default=int(DEFAULT_TIMEOUT.total_seconds()), ge=1, le=MAX_TIMEOUT_S)
    """Seconds that one try of a task may take, unless the request says otherwise. SDXL on a cold g4dn, doubled."""
    max_attempts: int = Field(default=DEFAULT_MAX_ATTEMPTS, ge=1, le=10)
    """Tries before a task fails for good. Interruptions do not count."""
    recycle_after_tasks: int | None = Field(default=None, ge=1)
    """Tasks after which an idle server is started again, against memory that leaks. null: never."""
    recycle_above_mib: int | None = Field(default=None, ge=1)
    """sdwebui and comfyui: main memory, by the server's own word in MiB, above which it is started again when idle.
    null: never."""
    models_in_memory: int | None = Field(default=None, ge=1, le=100)
    """sdwebui: checkpoints that AUTOMATIC1111 keeps, one on the GPU, the others in main memory. null: as the server is
    configured."""
    hang_after_s: float = Field(default=SchedulerEnvironment.hang_after_s, ge=10)
    """Seconds without a word of the server about its task after which the task is interrupted. Above the longest step
    that reports no progress."""
    restart_after_s: float = Field(default=SchedulerEnvironment.runtime_restart_after_s, ge=10)
    """Seconds that a server may take to be ready before it is started again. Above its longest start."""
    port: int | None = Field(default=None, ge=1024, le=65_535)
    """Where the server listens in its container. null: 7860 for sdwebui, 8188 for comfyui, 9000 for custom."""
    arguments: tuple[str, ...] = Field(default=(), strict=False)
    """Further command-line arguments of the server, such as --medvram."""
    environment: dict[EnvironmentName, str] = Field(default={}, max_length=50)
    """Environment variables of the server's container. Nothing secret: they can be read in the launch template."""
    images: ImagesConfig = ImagesConfig()
    custom_nodes: tuple[PinnedRepository, ...] = Field(default=(), strict=False)
    """comfyui: custom nodes for the image that is built by us. They are code, and run as such: read them."""
    extensions: tuple[PinnedRepository, ...] = Field(default=(), strict=False)
    """sdwebui: extensions for the image that is built by us. They are code, and run as such: read them."""
    fleet: FleetConfig = FleetConfig()

    @property
    def task_timeout(self) -> timedelta:
        return timedelta(seconds=self.task_timeout_s)

    @property
    def server_port(self) -> int:
        return self.port or _PORTS[self.type]

    @property
    def lease(self) -> timedelta:
        """What an instance holds a message for; a heartbeat renews it. A killed instance's task is free after it."""
        return _LEASE

    @property
    def heartbeat(self) -> timedelta:
        return self.lease / 3

    @property
    def visibility_timeout(self) -> timedelta:
        """The queue's own, for who receives without saying for how long: above the lease, never what decides."""
        return self.lease * 3

    @property
    def max_receive_count(self) -> int:
        """A backstop only: attempts are counted in the task's record; drains and Spot storms must not end in the
        DLQ."""
        return 100

    @property
    def termination_hook_timeout(self) -> timedelta:
        """One task to its end; longer ones are held by heartbeats, a third of this apart."""
        return min(self.task_timeout + _SETTLEMENT, _LONGEST_HOOK)

    @property
    def launch_hook_timeout(self) -> timedelta:
        """An instance that has not said by then that it works is ended."""
        return _LAUNCH_HOOK
