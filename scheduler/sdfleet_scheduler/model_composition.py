"""Builds what a scheduler has to do with models from its environment."""

from __future__ import annotations

import shutil
from pathlib import Path

from sdfleet.aws.clients import Clients
from sdfleet.aws.model_bucket import S3ModelBucket
from sdfleet.environment import DeploymentEnvironment, RuntimeEnvironment, SchedulerEnvironment
from sdfleet_scheduler.boot_notes import BootNotes
from sdfleet_scheduler.model_store import ModelStore
from sdfleet_scheduler.models import BehindCallback, FetchCallback, Models
from sdfleet_scheduler.runtimes.base import Runtime
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime

#: Of the disk that models lie on, unless told otherwise: outputs and logs may share it.
MODEL_SHARE = 0.9


def build_models(
    environment: SchedulerEnvironment,
    deployment: DeploymentEnvironment,
    served: RuntimeEnvironment,
    clients: Clients,
    runtime: Runtime,
    *,
    on_fetched: FetchCallback,
    on_behind: BehindCallback,
) -> Models:
    store = None
    if environment.model_directory is not None and deployment.model_bucket is not None:
        directory = Path(environment.model_directory)
        directory.mkdir(parents=True, exist_ok=True)
        max_bytes = environment.model_cache_bytes or int(shutil.disk_usage(directory).total * MODEL_SHARE)
        store = ModelStore(S3ModelBucket(clients.s3, deployment.model_bucket), directory, max_bytes=max_bytes)
    # ComfyUI looks into its folders by itself.
    on_arrival = runtime.models_arrived if isinstance(runtime, SdWebUiRuntime) else lambda kinds: None
    return Models(
        store,
        served.type,
        model=served.model_filename,
        on_arrival=on_arrival,
        on_fetched=on_fetched,
        on_behind=on_behind,
        # The boot scripts have it wait (boot_files/runtime.sh), until the boot is over.
        server_waits=environment.boot_directory is not None
        and not BootNotes(Path(environment.boot_directory)).is_completed,
    )
