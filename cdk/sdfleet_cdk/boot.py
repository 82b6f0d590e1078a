"""User data: what an instance is told by file, and, where no AMI is sure to bring them, scripts and units.

The instance's containers are those of its own launch template's version: `pull.sh` reads their references from the
instance's tags (`launch_template.py`). A release changes tags and AMI; the user data stays. So where no AMI is
configured it brings scripts and units along, for the stock AMI; one of ours that a release names has its own, and
those win.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sdfleet.config import Config, RuntimeConfig
from sdfleet.domain import names
from sdfleet.domain.task import RuntimeType
from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment
from sdfleet_cdk.metrics_agent import agent_settings

#: Scripts and units; user data and AMI bring the same.
FILES = Path(__file__).parent / "boot_files"
_SCRIPTS = "/usr/local/lib/sdfleet"
_UNITS = "/etc/systemd/system"
_ARCHIVE = "/run/sdfleet-boot-files.tar.gz"
_TARGET = "sdfleet.target"
_SETTINGS = "/etc/sdfleet"
#: What the scheduler's process runs as on the host: no user of the AMI's.
SCHEDULER_UID = 10001
MODEL_DIRECTORY = "/var/lib/sdfleet/models"
#: The scheduler makes it once what a WebUI reads at its start alone is there (docs/models.md).
SYNCED = f"{MODEL_DIRECTORY}/.synced"
#: Where scripts and scheduler tell each other how the boot goes.
BOOT_DIRECTORY = "/run/sdfleet"
#: The scheduler is no root and in a container: a unit watches this file.
_RESTART_COMMAND = f"touch {BOOT_DIRECTORY}/restart-runtime"
#: The launch hook waits longer: what went wrong is told before the instance ends.
_REPORT_MARGIN_S = 60
#: The scheduler knows more of a boot that takes too long than the script that watches it, and speaks before it.
_SCHEDULER_MARGIN_S = _REPORT_MARGIN_S + 15
#: EC2 takes no more (User Guide, "Run commands when you launch an EC2 instance"); before base64.
MAX_USER_DATA_BYTES = 16 * 1024
#: Second in the launch template's block devices; Nitro shows it under the volume's own name too.
DATA_VOLUME_DEVICE = "/dev/sdf"


@dataclass(frozen=True)
class BootFile:
    path: str
    content: str
    permissions: str = "0644"


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
        launch_hook=names.launch_hook_name(deployment_id, runtime.name),
        boot_directory=BOOT_DIRECTORY,
        boot_patience_s=runtime.launch_hook_timeout.total_seconds() - _SCHEDULER_MARGIN_S,
        termination_hook=names.termination_hook_name(deployment_id, runtime.name),
        termination_hook_timeout_s=runtime.termination_hook_timeout.total_seconds(),
        link_lifetime_s=config.link_lifetime_s,
        runtime_restart_command=_RESTART_COMMAND if has_server else None,
        runtime_restart_after_s=runtime.restart_after_s,
        hang_after_s=runtime.hang_after_s,
        recycle_after_tasks=runtime.recycle_after_tasks,
        recycle_above_mib=runtime.recycle_above_mib,
        models_in_memory=runtime.models_in_memory,
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
        "TABLE_NAME": environment.table_name,
        "RUNTIME": runtime.name,
        "RUNTIME_PORT": str(runtime.server_port),
        "SCHEDULER_UID": str(SCHEDULER_UID),
        "WAIT_FOR": SYNCED if runtime.type is RuntimeType.SDWEBUI and config.model_bucket is not None else "",
        "DATA_VOLUME": DATA_VOLUME_DEVICE if runtime.fleet.volume.snapshot_id is not None else "",
    }
    # Every line as docker's --env-file takes it: nothing is quoted there.
    files = [
        BootFile(f"{_SETTINGS}/scheduler.env", _lines(scheduler), permissions="0600"),
        BootFile(f"{_SETTINGS}/instance.env", _lines(instance)),
    ]
    if runtime.type is not RuntimeType.TEST_PATTERN:
        # By the second one its unit knows that there is a server to start.
        files += [
            BootFile(f"{_SETTINGS}/runtime.env", _lines(runtime.environment)),
            BootFile(f"{_SETTINGS}/runtime-arguments", "".join(f"{one}\n" for one in runtime.arguments)),
            BootFile(f"{_SETTINGS}/cloudwatch-agent.json", json.dumps(agent_settings(deployment_id, runtime))),
        ]
    return files


def baked_files() -> list[BootFile]:
    """The same on every instance of every deployment: an AMI brings them, or user data."""
    return [
        BootFile(
            f"{_SCRIPTS if file.suffix == '.sh' else _UNITS}/{file.name}",
            file.read_text(encoding="utf-8"),
            permissions="0755" if file.suffix == ".sh" else "0644",
        )
        for file in sorted(FILES.iterdir())
        if file.suffix in (".sh", ".service", ".path", ".target")
    ]


def cloud_config(files: list[BootFile], *, baked: list[BootFile]) -> str:
    """A cloud-config document: `files` are written, and what an instance is made of is started.

    `baked`: written where the AMI has not brought them; empty: it surely has.
    """
    written = [{"path": file.path, "permissions": file.permissions, "content": file.content} for file in files]
    commands: list[list[str]] = []
    if baked:
        archive = {"path": _ARCHIVE, "permissions": "0600", "encoding": "b64", "content": _archive(baked)}
        written.append(archive)
        brought = f"{_SCRIPTS}/boot.sh"
        commands += [
            ["sh", "-c", f"test -e {brought} || tar --extract --gzip --directory / --file {_ARCHIVE}"],
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", _TARGET],
        ]
    # Not waited for: cloud-init would hold back whatever is ordered after it. An AMI's own has started by then.
    commands.append(["systemctl", "start", "--no-block", _TARGET])
    # JSON is YAML. Tokens stand in strings, and what they become (names, ARNs, URLs) needs no escaping.
    return "#cloud-config\n" + json.dumps({"write_files": written, "runcmd": commands}, separators=(",", ":"))


def _archive(files: list[BootFile]) -> str:
    """In base64. The same files make the same text: no time stamps, no owners."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            content = file.content.encode()
            entry.size, entry.mode = len(content), int(file.permissions, 8)
            archive.addfile(entry, io.BytesIO(content))
    return base64.b64encode(packed.getvalue()).decode()


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
