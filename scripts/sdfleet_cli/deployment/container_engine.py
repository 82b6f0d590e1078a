"""The container engine of this machine: docker, podman or buildah, whichever works."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdfleet.aws.container_registry import RegistryLogin
from sdfleet_cli.deployment.session import Session

_PROBE_TIMEOUT_S = 20
_ADVICE = "see what it says above, or build on the account with --on-aws"


@dataclass(frozen=True)
class Engine:
    name: str

    def login(self, session: Session, access: RegistryLogin) -> None:
        self._run(
            session, "login", "--username", access.username, "--password-stdin", access.registry, given=access.password
        )

    def build(self, session: Session, dockerfile: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """For the instances' processor, whatever this machine's is. The checkout is the context.

        Raises:
            DeploymentError: it fails.
        """
        verb = "bud" if self.name == "buildah" else "build"
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        if self.name != "docker":
            # Theirs by default has no room for a health check (OCI Image Format).
            options.append("--format=docker")
        if session.options.pip_config is not None:
            # A secret: an index may take a password, and an image's layers and history are read by others.
            options.append(f"--secret=id=pip-config,src={session.options.pip_config}")
        self._run(
            session, verb, "--platform=linux/amd64", f"--file={dockerfile}", f"--tag={tag}", *options, str(session.root)
        )

    def push(self, session: Session, tag: str) -> None:
        self._run(session, "push", tag)

    def _run(self, session: Session, *arguments: str, given: str | None = None) -> None:
        session.run_tool(
            [self.name, *arguments],
            cwd=session.root,
            environment=os.environ,
            log_name=f"images-{self.name}",
            advice=_ADVICE,
            given=given,
        )


def find() -> Engine | None:
    """The first that answers: docker without its daemon does not."""
    for name in ("docker", "podman", "buildah"):
        if shutil.which(name) and _answers(name):
            return Engine(name)
    return None


def _answers(name: str) -> bool:
    try:
        probe = subprocess.run([name, "info"], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0
