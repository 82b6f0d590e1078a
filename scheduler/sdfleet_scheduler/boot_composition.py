"""Builds the boot's part of the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sdfleet.aws.boot_table import DynamoBootRecords
from sdfleet.aws.clients import Clients
from sdfleet.aws.lifecycle_hooks import AutoScalingLifecycleHooks
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import RuntimeType
from sdfleet.environment import DeploymentEnvironment, RuntimeEnvironment, SchedulerEnvironment
from sdfleet.ports import Clock, LifecycleHooks
from sdfleet_scheduler.boot import MOST_TRIES, Boot, BootContext
from sdfleet_scheduler.boot_notes import BootNotes, kernel_started_at, launched_at
from sdfleet_scheduler.canary import canary_of
from sdfleet_scheduler.identity import Identity
from sdfleet_scheduler.metadata import InstanceMetadata
from sdfleet_scheduler.models import Models
from sdfleet_scheduler.runtimes.base import Runtime
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime


async def build_boot(
    *,
    environment: SchedulerEnvironment,
    deployment: DeploymentEnvironment,
    served: RuntimeEnvironment,
    identity: Identity,
    service: InstanceMetadata,
    clients: Clients,
    clock: Clock,
    runtime: Runtime,
    models: Models,
    on_failed: Callable[[], object],
) -> Boot:
    context = BootContext(
        fleet=environment.group_name or environment.runtime,
        runtime=served.name,
        release=identity.release,
        instance_id=identity.instance_id,
        launched_at=await launched_at(service) or clock.now(),
        patience=environment.boot_patience,
        kernel_at=kernel_started_at(),
    )
    # Where nobody waits for the instance, a server of the user's own makes no picture that was not asked for.
    has_canary = context.patience is not None or served.type is RuntimeType.TEST_PATTERN
    return Boot(
        context,
        DynamoBootRecords(clients.dynamodb, deployment.table_name),
        clock,
        canary=canary_of(served.type, runtime, served.model_filename) if has_canary else None,
        notes=None if environment.boot_directory is None else BootNotes(Path(environment.boot_directory)),
        hook=_launch_hook(environment, clients),
        has_models=lambda: models.is_synced,
        trouble=lambda: models.trouble or _unproven(runtime),
        on_failed=on_failed,
    )


def _unproven(runtime: Runtime) -> str | None:
    """The WebUI's own proof is a picture; a refusal that comes again and again is final."""
    if not isinstance(runtime, SdWebUiRuntime):
        return None
    failure = runtime.proof_failure
    if failure is None or failure.kind is not FailureKind.PERMANENT or runtime.proofs_failed < MOST_TRIES:
        return None
    return f"The first picture could not be made: {failure.code}: {failure}"


def _launch_hook(environment: SchedulerEnvironment, clients: Clients) -> LifecycleHooks | None:
    if environment.group_name is None or environment.launch_hook is None:
        return None
    return AutoScalingLifecycleHooks(
        clients.autoscaling, group_name=environment.group_name, hook_name=environment.launch_hook
    )
