"""A deployment that a command is about: on the account, or on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sdfleet.aws.clients import Clients
from sdfleet.config.source import Source
from sdfleet_cli.console import checkout_root, local_deployment
from sdfleet_cli.deployment.configuration import DEFAULT_ID
from sdfleet_local.deployment import RefusedByState
from sdfleet_local.plan import DEPLOYMENT_ID as LOCAL_ID
from sdfleet_local.plan import REGION as LOCAL_REGION


@dataclass(frozen=True)
class Reach:
    """How to talk to a deployment's resources."""

    deployment_id: str
    clients: Clients


def reach(deployment_id: str | None, region: str | None) -> Reach:
    """The named deployment; else the one that runs on this machine, else the configuration's.

    Raises:
        ConfigError: the configuration is no YAML.
        RefusedByState: the one on this machine is named, and does not run.
    """
    if deployment_id in (None, LOCAL_ID):
        try:
            endpoint_url = local_deployment().outputs()["AwsEndpointUrl"]
        except RefusedByState:
            if deployment_id == LOCAL_ID:
                raise
        else:
            clients = Clients(region=LOCAL_REGION, endpoint_url=endpoint_url, has_credentials=False)
            return Reach(LOCAL_ID, clients)
    configured = _configuration(checkout_root() / "config" / "config.yaml")
    named = deployment_id or configured.get("stackName") or DEFAULT_ID
    return Reach(named, Clients(region=region or configured.get("region")))


def _configuration(config_file: Path) -> dict[str, str]:
    values = Source.read(config_file).values if config_file.is_file() else {}
    return {key: str(values[key]) for key in ("stackName", "region") if values.get(key)}
