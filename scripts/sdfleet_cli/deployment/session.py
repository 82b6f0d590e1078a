"""What the steps of one run share."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click

from sdfleet.aws.account import Account
from sdfleet.aws.clients import Clients
from sdfleet.aws.stacks import Stacks
from sdfleet.config import Config, load_for
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment.journal import Journal

#: What the stacks are made of, beside the configuration.
_SOURCES = ("cdk", "lambdas", "src/sdfleet", "scheduler", "ami")
#: A tool that was told to end may have something to clean up.
_TOOL_GRACE_S = 10


@dataclass(frozen=True)
class DeployOptions:
    """What the command line asks beside the configuration."""

    #: Build the container images on the account.
    is_built_on_aws: bool = False
    #: Where the base model comes from; None: Hugging Face, or its mirror in China.
    base_model_url: str | None = None
    #: False: the model bucket is left as it is.
    wants_base_model: bool = True
    #: False: the service is not asked for a picture.
    wants_picture: bool = True
    #: What the container images are built on; None: what their Dockerfiles name.
    base_image: str | None = None
    #: pip's settings while images are built here, such as an index of one's own.
    pip_config: Path | None = None


@dataclass
class Session:
    root: Path
    deployment_id: str
    config_file: Path
    account: Account
    clients: Clients
    journal: Journal
    options: DeployOptions = field(default_factory=DeployOptions)

    @property
    def config(self) -> Config:
        """As the file stands now, placed in the region: a step may have filled in a key."""
        return load_for(self.config_file, self.account.region)

    @cached_property
    def stacks(self) -> Stacks:
        return Stacks(self.clients.cloudformation)

    def note(self, text: str) -> None:
        click.echo(f"       {text}")

    def source_digest(self) -> str:
        """Of everything that the stacks are made of."""
        content = hashlib.sha256()
        for name in _SOURCES:
            for file in sorted((self.root / name).rglob("*")):
                if file.is_file() and not set(file.parts) & {"__pycache__", "node_modules", "cdk.out"}:
                    content.update(str(file.relative_to(self.root)).encode() + b"\0" + file.read_bytes())
        return content.hexdigest()

    def run_tool(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        log_name: str,
        advice: str,
        given: str | None = None,
    ) -> None:
        """Run another program, its lines shown and kept in the deployment's logs. `given` goes to its standard input.

        Raises:
            DeploymentError: it is not there, or it failed.
        """
        log_file = self.journal.logs / f"{log_name}.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise DeploymentError(f"{command[0]} cannot be started ({error.strerror}); {advice}.") from error
        with process, log_file.open("a") as log:
            try:
                if given is not None and process.stdin is not None:
                    process.stdin.write(given)
                    process.stdin.close()
                log.write(f"$ {' '.join(command)}\n")
                for line in process.stdout or ():
                    log.write(line)
                    log.flush()
                    if line.strip():
                        self.note(f"| {line.rstrip()}")
                status = process.wait()
            except BaseException:
                # Ctrl-C reached it too: it may take a moment to end.
                process.terminate()
                try:
                    process.wait(_TOOL_GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise
        if status:
            raise DeploymentError(
                f"{Path(command[0]).name} failed (exit status {status}); {advice}. Its log: {log_file}"
            )
