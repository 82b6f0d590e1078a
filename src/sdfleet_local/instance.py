"""One instance of a local group: a real api-scheduler process with its own port, log and metadata service."""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment
from sdfleet.errors import LocalModeError
from sdfleet_local import child
from sdfleet_local.child import Child
from sdfleet_local.imds import InstanceMetadata, MetadataListener
from sdfleet_local.loopback import free_port
from sdfleet_local.processes import ProcessIdentity
from sdfleet_local.snapshots import environment_of

#: A process on this machine answers at once or is too busy to be ready.
_PROBE_TIMEOUT_S = 1.0


class LifecycleState(StrEnum):
    """Auto Scaling's names (User Guide, "Instance lifecycle")."""

    PENDING = "Pending"
    PENDING_WAIT = "Pending:Wait"
    PENDING_PROCEED = "Pending:Proceed"
    IN_SERVICE = "InService"
    STANDBY = "Standby"
    TERMINATING = "Terminating"
    TERMINATING_WAIT = "Terminating:Wait"
    TERMINATING_PROCEED = "Terminating:Proceed"
    TERMINATED = "Terminated"


class Instance(Protocol):
    """What the group needs of an instance."""

    @property
    def instance_id(self) -> str: ...

    @property
    def metadata(self) -> InstanceMetadata: ...

    @property
    def identity(self) -> ProcessIdentity | None:
        """Its process; None when it has ended."""

    @property
    def is_running(self) -> bool: ...

    def last_words(self) -> str:
        """The last line of its log."""

    def is_ready(self) -> bool:
        """Whether its scheduler takes tasks."""

    def is_idle(self) -> bool:
        """Whether it surely has no task in hand."""

    def drain(self) -> None:
        """Pass on an operator's word to its scheduler: stop receiving, finish or give back, leave.

        Raises:
            LocalModeError: it does not answer.
        """

    def terminate(self) -> None:
        """Ask it to drain and leave (SIGTERM)."""

    def kill(self) -> None:
        """Take the machine away (SIGKILL)."""

    def describe(self, state: LifecycleState) -> InstanceDescription: ...

    def close(self) -> None:
        """Free what it held, once it has ended."""


class Launcher(Protocol):
    def launch(self, runtime: str, instance_id: str, release: str) -> Instance:
        """Raises:
        LocalModeError: there is no such release.
        """


@dataclass(frozen=True)
class InstanceDescription:
    """What `sdfleet local instances` prints."""

    instance_id: str
    pid: int
    state: str
    release: str
    imds_url: str
    runtime: str
    #: Where its scheduler serves /v1/status.
    url: str
    launched_at: str
    log: str
    #: Its runtime's server; None where there is none.
    runtime_url: str | None = None


def new_instance_id() -> str:
    return f"i-{secrets.token_hex(9)[:17]}"


@dataclass
class SchedulerInstance:
    instance_id: str
    metadata: InstanceMetadata
    runtime: str
    port: int
    launched_at: datetime
    _process: Child = field(repr=False)
    _listener: MetadataListener = field(repr=False)
    _scratch: Path = field(repr=False)
    runtime_url: str | None = None

    @property
    def identity(self) -> ProcessIdentity | None:
        return self._process.identity

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def last_words(self) -> str:
        return self._process.last_words()

    def is_ready(self) -> bool:
        return self._get("/readyz") is not None

    def is_idle(self) -> bool:
        status = self._get("/v1/status")
        return status is not None and not status.get("tasks")

    def drain(self) -> None:
        if self._ask("POST", "/v1/drain", body="{}") is None:
            raise LocalModeError(f"The scheduler of {self.instance_id} does not answer; see {self._process.log_file}.")

    def _get(self, path: str) -> dict[str, Any] | None:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, *, body: str | None = None) -> dict[str, Any] | None:
        """The scheduler's answer; None unless it is a good one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PROBE_TIMEOUT_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            fields: dict[str, Any] = json.loads(answer.read())
            return fields if answer.status in (http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED) else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def terminate(self) -> None:
        if self.is_running:
            self._process.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self.is_running:
            self._process.process.kill()

    def describe(self, state: LifecycleState) -> InstanceDescription:
        return InstanceDescription(
            instance_id=self.instance_id,
            pid=self._process.process.pid,
            state=state.value,
            release=self.metadata.release,
            imds_url=self._listener.url,
            runtime=self.runtime,
            url=f"http://127.0.0.1:{self.port}",
            launched_at=self.launched_at.isoformat(timespec="seconds"),
            log=str(self._process.log_file),
            runtime_url=self.runtime_url,
        )

    def close(self) -> None:
        self._listener.close()
        self._process.process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)


@dataclass(frozen=True)
class SchedulerLauncher:
    """Starts instances: what a launch template is to a real group."""

    deployment: DeploymentEnvironment
    schedulers: Mapping[str, SchedulerEnvironment]
    #: Endpoint, region and credentials, as a child process gets them.
    aws_environment: Mapping[str, str]
    region: str
    logs: Path
    scratch: Path
    #: Snapshots by version; None: every instance runs the checkout.
    releases: Path | None = None

    def launch(self, runtime: str, instance_id: str, release: str) -> SchedulerInstance:
        metadata = InstanceMetadata(
            instance_id=instance_id, release=release, region=self.region, availability_zone=f"{self.region}a"
        )
        listener = MetadataListener(metadata)
        port = free_port()
        scratch = self.scratch / instance_id
        scratch.mkdir(parents=True)
        environment = {
            **self.aws_environment,
            **self.deployment.to_env(),
            **replace(self.schedulers[runtime], port=port).to_env(),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": listener.url,
            # An instance that is killed cannot tidy up; its disk goes with it.
            "TMPDIR": str(scratch),
        }
        if self.releases is not None:
            environment |= environment_of(self.releases, metadata.release, self.aws_environment)
        process = child.start("sdfleet_scheduler", environment=environment, log_file=self.logs / f"{instance_id}.log")
        return SchedulerInstance(
            instance_id,
            metadata,
            runtime,
            port,
            datetime.now(UTC),
            process,
            listener,
            scratch,
            self.schedulers[runtime].runtime_url,
        )
