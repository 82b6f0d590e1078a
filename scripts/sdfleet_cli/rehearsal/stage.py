"""Where the rehearsal takes place: a local deployment of its own, and the commands as a person would type them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sdfleet.aws.clients import Clients
from sdfleet.domain import names
from sdfleet.errors import LocalModeError
from sdfleet_cli.rehearsal.load import SteadyLoad
from sdfleet_cli.rehearsal.watch import Watch
from sdfleet_lambdas.rollout_services import fleet_rollouts
from sdfleet_lambdas.rollouts import DEPLOYMENT_STATUS
from sdfleet_local.chaos.evidence import Listener
from sdfleet_local.chaos.traffic import RUNTIME
from sdfleet_local.deployment import LocalDeployment
from sdfleet_local.plan import DEPLOYMENT_ID, REGION

#: What a version is made of.
_SOURCES = ("src", "scheduler")
#: A command that does not wait for a rollout.
_COMMAND_TIMEOUT_S = 180
#: One that does.
ROLLOUT_TIMEOUT_S = 420


@dataclass
class Stage:
    root: Path
    clients: Clients = field(repr=False)
    load: SteadyLoad = field(repr=False)
    notices: Listener = field(repr=False)
    watch: Watch = field(repr=False)
    outputs: Mapping[str, str] = field(repr=False)

    def sdfleet(self, *words: str, timeout_s: float = _COMMAND_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """The command behind one of scripts/*.sh, in the rehearsal's own checkout."""
        return subprocess.run(
            _command(words), env=self._environment(), capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def terminal(self, *words: str) -> subprocess.Popen[str]:
        """The same, in a terminal of its own that may be closed."""
        return subprocess.Popen(
            _command(words),
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    @property
    def event_queue_url(self) -> str:
        """Where Auto Scaling's events wait for the recorder."""
        name = f"{DEPLOYMENT_ID}-rollout-events"
        return self.clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def statuses(self, *, since: datetime) -> list[str]:
        """All that `deployment-status` was made to say: SSM keeps what no look may have met."""
        name = names.release_parameter(DEPLOYMENT_ID, RUNTIME, DEPLOYMENT_STATUS)
        pages = self.clients.ssm.get_paginator("get_parameter_history").paginate(Name=name)
        written = [version for page in pages for version in page["Parameters"]]
        values = [str(version["Value"]) for version in written if version["LastModifiedDate"] >= since]
        # Command and recorder may both write what both have seen.
        return [value for value, _ in itertools.groupby(values)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "SDFLEET_ROOT": str(self.root)}


@contextmanager
def open_stage(checkout: Path, *, instances: int, per_second: float) -> Iterator[Stage]:
    """A deployment with so many instances under so much load, gone at the end.

    Raises:
        LocalModeError: it did not start.
    """
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sdfleet-rehearsal-")))
        prepare_checkout(root, checkout)
        stack.callback(LocalDeployment(root).stop)
        # An impatient second Ctrl-C must not leave the deployment running.
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        started = subprocess.run(
            _command(("deploy", "--local", "--port", "0", "--instances", str(instances))),
            env={**os.environ, "SDFLEET_ROOT": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
        if started.returncode != 0:
            raise LocalModeError(started.stderr.strip() or "The local deployment did not start.")
        yield stack.enter_context(stage_on(root, per_second=per_second, prefix="rehearsal"))


def prepare_checkout(root: Path, checkout: Path) -> None:
    """Sources to make versions of, in a directory with a local deployment of its own."""
    for name in _SOURCES:
        if not (root / name).exists():
            (root / name).symlink_to(checkout / name)


@contextmanager
def stage_on(root: Path, *, per_second: float, prefix: str) -> Iterator[Stage]:
    """On the deployment that runs in `root`; load and looks last as long as the context.

    Raises:
        LocalModeError: none runs there.
    """
    deployment = LocalDeployment(root)
    outputs = deployment.outputs()
    clients = Clients(region=REGION, endpoint_url=outputs["AwsEndpointUrl"], has_credentials=False)
    fleet = fleet_rollouts(
        clients, deployment_id=DEPLOYMENT_ID, table_name=names.table_name(DEPLOYMENT_ID), runtime=RUNTIME
    )
    load = SteadyLoad(outputs, per_second=per_second, prefix=prefix)
    with (
        Listener(clients, outputs["sdNotificationOutputArn"]) as notices,
        Watch(fleet, deployment.control().instances) as watch,
        load,
    ):
        yield Stage(root, clients, load, notices, watch, outputs)


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "sdfleet_cli.main", *words]
