"""User data: what an instance is told by file, and, as long as no AMI brings them, the scripts and units that it runs.

The instance's containers are those of its own launch template's version: `pull.sh` reads their references from the
instance's tags (`launch_template.py`). A release changes tags and AMI; the user data stays.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdfleet.config import Config, RuntimeConfig
from sdfleet.domain import names
from sdfleet.domain.task import RuntimeType
from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment

#: Scripts and units; user data and AMI bring the same.
FILES = Path(__file__).parent / "boot_files"
_SCRIPTS = "/usr/local/lib/sdfleet"
_UNITS = "/etc/systemd/system"
_SETTINGS = "/etc/sdfleet"
#: What the scheduler's process runs as on the host: no user of the AMI's.
SCHEDULER_UID = 10001
MODEL_DIRECTORY = "/var/lib/sdfleet/models"
#: The scheduler makes it once what a WebUI reads at its start alone is there (docs/models.md).
SYNCED = f"{MODEL_DIRECTORY}/.synced"
#: The scheduler is no root and in a container: a unit watches this file.
_RESTART_COMMAND = "touch /run/sdfleet/restart-runtime"
#: The launch hook waits longer: what went wrong is told before the instance ends.
_REPORT_MARGIN_S = 60
#: EC2 takes no more (User Guide, "Run commands when you launch an EC2 instance"); before base64.
MAX_USER_DATA_BYTES = 16 * 1024
#: Second in the launch template's block devices; Nitro shows it under the volume's own name too.
DATA_VOLUME_DEVICE = "/dev/sdf"
_GPU_INTERVAL_S = 60
#: CloudWatch agent's words, and its prefix of the metrics made of them.
GPU_METRIC_PREFIX = "nvidia_smi_"
GPU_MEASUREMENTS = ("utilization_gpu", "memory_used", "memory_total")


@dataclass(frozen=True)
class BootFile:
    path: str
    content: str
    permissions: str = "0644"
    #: Without CDK tokens: may be compressed.
    is_static: bool = False


def scheduler_environment(config: Config, runtime: RuntimeConfig, *, deployment_id: str) -> SchedulerEnvironment:
    """What an instance's api-scheduler is told."""
    has_server = runtime.type is not RuntimeType.TEST_PATTERN
    return SchedulerEnvironment(
        runtime=runtime.name,
        runtime_url=f"http://127.0.0.1:{runtime.server_port}" if has_server else None,
        visibility_s=int(runtime.lease.total_seconds()),
        allowed_hosts=config.inputs.allowed_hosts,
        allowed_buckets=config.inputs.allowed_buckets,
        max_input_bytes=config.inputs.max_size_bytes,
        group_name=names.fleet_name(deployment_id, runtime.name),
        termination_hook=names.termination_hook_name(deployment_id, runtime.name),
        termination_hook_timeout_s=runtime.termination_hook_timeout.total_seconds(),
        link_lifetime_s=config.link_lifetime_s,
        runtime_restart_command=_RESTART_COMMAND if has_server else None,
        recycle_after_tasks=runtime.recycle_after_tasks,
        model_directory=MODEL_DIRECTORY if config.model_bucket is not None else None,
    )


def settings_files(
    config: Config, runtime: RuntimeConfig, environment: DeploymentEnvironment, *, region: str
) -> list[BootFile]:
    """What differs between deployments and fleets."""
    deployment_id = environment.deployment_id
    # Of the runtimes its own only: another fleet's coming and going changes nothing here.
    own = replace(environment, runtimes=tuple(one for one in environment.runtimes if one.name == runtime.name))
    scheduler = {
        **own.to_env(),
        **scheduler_environment(config, runtime, deployment_id=deployment_id).to_env(),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
    instance = {
        "AWS_REGION": region,
        "GROUP_NAME": names.fleet_name(deployment_id, runtime.name),
        "LAUNCH_HOOK": names.launch_hook_name(deployment_id, runtime.name),
        "BOOT_PATIENCE_S": str(int(runtime.launch_hook_timeout.total_seconds()) - _REPORT_MARGIN_S),
        "LOG_GROUP": names.fleet_log_group(deployment_id, runtime.name),
        "RUNTIME_PORT": str(runtime.server_port),
        "SCHEDULER_UID": str(SCHEDULER_UID),
        "WAIT_FOR": SYNCED if runtime.type is RuntimeType.SDWEBUI and config.model_bucket is not None else "",
        "DATA_VOLUME": DATA_VOLUME_DEVICE if runtime.fleet.volume.snapshot_id is not None else "",
    }
    # Every line as docker's --env-file takes it: nothing is quoted there.
    return [
        BootFile(f"{_SETTINGS}/scheduler.env", _lines(scheduler), permissions="0600"),
        BootFile(f"{_SETTINGS}/instance.env", _lines(instance)),
        BootFile(f"{_SETTINGS}/runtime.env", _lines(runtime.environment)),
        BootFile(f"{_SETTINGS}/runtime-arguments", "".join(f"{one}\n" for one in runtime.arguments)),
        BootFile(
            f"{_SETTINGS}/cloudwatch-agent.json", json.dumps(_agent_settings(deployment_id, runtime)), is_static=True
        ),
    ]


def baked_files() -> list[BootFile]:
    """The same on every instance of every deployment: an AMI may bring them."""
    return [
        BootFile(
            f"{_SCRIPTS if file.suffix == '.sh' else _UNITS}/{file.name}",
            file.read_text(encoding="utf-8"),
            permissions="0755" if file.suffix == ".sh" else "0644",
            is_static=True,
        )
        for file in sorted(FILES.iterdir())
        if file.suffix in (".sh", ".service", ".path")
    ]


def units(runtime: RuntimeConfig) -> list[str]:
    """What is started, in words of systemd's."""
    own = ["sdfleet-prepare.service", "sdfleet-scheduler.service", "sdfleet-report.service"]
    if runtime.type is RuntimeType.TEST_PATTERN:
        return own
    return [*own, "sdfleet-runtime.service", "sdfleet-runtime-restart.path", "sdfleet-gpu-metrics.service"]


def cloud_config(files: list[BootFile], start: list[str]) -> str:
    """A cloud-config document: `files` are written, then the units `start` are enabled and started."""
    document: dict[str, Any] = {
        "write_files": [_written(file) for file in files],
        "runcmd": [
            ["systemctl", "daemon-reload"],
            # Not waited for: cloud-init would hold back whatever is ordered after it.
            ["systemctl", "enable", "--now", "--no-block", *start],
        ],
    }
    # JSON is YAML. Tokens stand in strings, and what they become (names, ARNs, URLs) needs no escaping.
    return "#cloud-config\n" + json.dumps(document, separators=(",", ":"))


def _written(file: BootFile) -> dict[str, str]:
    described = {"path": file.path, "permissions": file.permissions}
    if not file.is_static:
        return {**described, "content": file.content}
    # No time stamp: the same files make the same template.
    packed = gzip.compress(file.content.encode(), mtime=0)
    return {**described, "encoding": "gz+b64", "content": base64.b64encode(packed).decode()}


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _agent_settings(deployment_id: str, runtime: RuntimeConfig) -> dict[str, Any]:
    """One metric per fleet and measurement; the agent's own dimensions would make one per instance and GPU."""
    fleet = names.fleet_name(deployment_id, runtime.name)
    return {
        "agent": {"metrics_collection_interval": _GPU_INTERVAL_S},
        "metrics": {
            "namespace": names.METRIC_NAMESPACE,
            "aggregation_dimensions": [[names.FLEET_DIMENSION]],
            "metrics_collected": {
                "nvidia_gpu": {
                    "measurement": list(GPU_MEASUREMENTS),
                    "append_dimensions": {names.FLEET_DIMENSION: fleet},
                    "drop_original_metrics": list(GPU_MEASUREMENTS),
                }
            },
        },
    }
