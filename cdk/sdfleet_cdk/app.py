"""The app: which stacks a configuration becomes. Needs neither credentials nor a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk

from sdfleet.config import Config, load_for
from sdfleet.errors import ConfigError
from sdfleet_cdk import nag
from sdfleet_cdk.region import Region
from sdfleet_cdk.stacks.foundation import FoundationStack
from sdfleet_cdk.stacks.service import ServiceStack

#: As deploy.sh gives them, `cdk deploy -c NAME=VALUE`.
CONFIG_CONTEXT = "config"
REGION_CONTEXT = "region"
DEPLOYMENT_CONTEXT = "deploymentId"


@dataclass(frozen=True)
class Stacks:
    foundation: FoundationStack
    service: ServiceStack


def foundation_stack_name(deployment_id: str) -> str:
    return f"{deployment_id}-foundation"


def add_stacks(app: cdk.App, config: Config) -> Stacks:
    """The deployment of `config`, which knows its region (`load_for`)."""
    if config.region is None:
        raise ConfigError("The deployment has no region; set region in the configuration, or give deploy.sh -R.")
    region = Region(config.region)
    deployment_id = config.stack_name
    foundation = FoundationStack(app, foundation_stack_name(deployment_id), config=config, region=region)
    service = ServiceStack(app, deployment_id, config=config, region=region)
    service.add_stack_dependency(foundation)
    for key, value in {**config.tags, "sdfleet-deployment": deployment_id}.items():
        cdk.Tags.of(app).add(key, value)
    nag.check_rules(app)
    return Stacks(foundation, service)


def config_of(app: cdk.App, environ: Mapping[str, str], *, default_path: Path) -> Config:
    """The configuration that the context names, in the region that context, file or environment name, in this order.

    Raises:
        ConfigError: every problem, one a line.
    """
    path = Path(app.node.try_get_context(CONFIG_CONTEXT) or default_path)
    region = app.node.try_get_context(REGION_CONTEXT)
    config = load_for(path, region)
    if config.region is None:
        config = load_for(path, environ.get("CDK_DEFAULT_REGION") or environ.get("AWS_REGION"))
    deployment_id = app.node.try_get_context(DEPLOYMENT_CONTEXT)
    # Checked like the file's own.
    return (
        config if deployment_id is None else type(config).model_validate({**dict(config), "stack_name": deployment_id})
    )
