"""Which deployment a command means, and where that is: on an account, or on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from sdfleet.aws.account import Account, identify
from sdfleet.aws.clients import Clients
from sdfleet.config import Config, load_for
from sdfleet.config.source import Source
from sdfleet.errors import ConfigError
from sdfleet_cli.console import checkout_root
from sdfleet_cli.deployment.configuration import deployment_id_of
from sdfleet_cli.deployment.journal import Journal

#: What `DEPLOYMENT_ID` is for the deployment on this machine.
LOCAL = "local"


@dataclass(frozen=True)
class Place:
    root: Path
    deployment_id: str
    account: Account
    clients: Clients
    journal: Journal
    config_file: Path

    @property
    def config(self) -> Config | None:
        """As the file says; None: there is none, or it is another deployment's by now."""
        try:
            return load_for(self.config_file, self.account.region)
        except ConfigError:
            return None


def find_place(*, deployment_id: str | None, region: str | None, config_file: Path | None = None) -> Place:
    """`region`: else where it was deployed to from here, else the configuration's, else where the AWS SDK points.

    Raises:
        SdfleetError: no region, no credentials, or two different names.
    """
    root = checkout_root()
    file = config_file or root / "config" / "config.yaml"
    # Whoever names one means that one; the file may be another's.
    named = deployment_id or deployment_id_of(argument=None, option=None, config_file=file)
    if named == LOCAL:
        raise click.UsageError("this is about deployments on an account; local is the one on this machine")
    journal = Journal(root, named)
    configured = Source.read(file).values.get("region") if file.is_file() else None
    clients = Clients(region=region or journal.region or (str(configured) if configured else None))
    return Place(root, named, identify(clients), clients, journal, file)
