"""`sdfleet deploy` on an account: reads the flags, runs the steps, prints what came out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from sdfleet.aws.account import identify
from sdfleet.aws.clients import Clients
from sdfleet.config import load_for, partition_of
from sdfleet.config.source import Source
from sdfleet.errors import ConfigError
from sdfleet_cli.console import checkout_root, table
from sdfleet_cli.deployment.cdk_app import synthesize
from sdfleet_cli.deployment.configuration import Wish, deployment_id_of, fill_in
from sdfleet_cli.deployment.journal import Journal
from sdfleet_cli.deployment.pipeline import request_line, steps_of
from sdfleet_cli.deployment.rollout_guard import refuse_during_rollout
from sdfleet_cli.deployment.runner import run_steps
from sdfleet_cli.deployment.session import DeployOptions, Session

#: A template needs some region; this one is the EKS guidance's first verified one.
_ANY_REGION = "us-east-1"


@dataclass(frozen=True)
class DeployRequest:
    """The command line. None: not said."""

    argument: str | None = None
    stack_name: str | None = None
    region: str | None = None
    bucket: str | None = None
    snapshot: str | None = None
    runtime_name: str | None = None
    runtime_type: str | None = None
    config_file: Path | None = None
    redo: frozenset[str] = frozenset()
    options: DeployOptions = field(default_factory=DeployOptions)


def default_config_file(root: Path) -> Path:
    return root / "config" / "config.yaml"


def prepare(request: DeployRequest) -> None:
    """Configuration and templates, without credentials; nothing is deployed."""
    root = checkout_root()
    config_file = request.config_file or default_config_file(root)
    deployment_id = deployment_id_of(argument=request.argument, option=request.stack_name, config_file=config_file)
    began = time.monotonic()
    for change in fill_in(config_file, wishes_of(request, deployment_id, config_file)):
        click.echo(change)
    region = region_of(request, config_file) or _ANY_REGION
    load_for(config_file, region)
    click.echo(f"The configuration is {config_file}.")
    journal = Journal(root, deployment_id)
    with journal.exclusively():
        templates = synthesize(root, deployment_id, config_file, region, journal.path / "cdk.out")
    for template in templates:
        click.echo(f"  {template.stat().st_size / 1024:6.0f} KiB  {template}")
    click.echo(f"{len(templates)} templates for {region} in {time.monotonic() - began:.0f} s; nothing was deployed.")
    click.echo(f"\nEdit the configuration as you like, then: {again(request)}")


def deploy_to_account(request: DeployRequest) -> None:
    """Raises:
    SdfleetError: a step failed; the sentence says which, why, and how to go on.
    """
    root = checkout_root()
    config_file = request.config_file or default_config_file(root)
    deployment_id = deployment_id_of(argument=request.argument, option=request.stack_name, config_file=config_file)
    wishes = wishes_of(request, deployment_id, config_file)
    clients = Clients(region=region_of(request, config_file))
    account = identify(clients)
    journal = Journal(root, deployment_id)
    if journal.region not in (None, account.region) and request.region is None:
        raise ConfigError(
            f"{deployment_id} was deployed to {journal.region} from here, and AWS points to {account.region}: add "
            f"-R {journal.region} to go on with it, or -R {account.region} for a second one there."
        )
    click.echo(f"Deploying {deployment_id} to {account.region}, account {account.account_id}.\n")
    refuse_during_rollout(clients, deployment_id)
    with journal.exclusively():
        journal.enter_place(account_id=account.account_id, region=account.region)
        session = Session(root, deployment_id, config_file, account, clients, journal, request.options)
        run_steps(steps_of(wishes), session, redo=request.redo, again=again(request))
        _print_success(session)


def wishes_of(request: DeployRequest, deployment_id: str, config_file: Path) -> list[Wish]:
    """What the flags ask to stand in the configuration."""
    named = request.argument or request.stack_name
    wishes = [Wish("the deployment's name", ("stackName",), deployment_id)] if named else []
    if request.region:
        wishes.append(Wish("-R", ("region",), request.region, overrides=True))
    if request.bucket:
        partition = partition_of(region_of(request, config_file) or _ANY_REGION)
        wishes.append(Wish("-b", ("modelBucketArn",), f"arn:{partition}:s3:::{request.bucket}"))
    for index in range(_runtime_count(config_file)):
        if request.snapshot:
            path = ("modelsRuntime", index, "fleet", "volume", "snapshotId")
            wishes.append(Wish("-s", path, request.snapshot))
    if request.runtime_name:
        wishes.append(Wish("-r", ("modelsRuntime", 0, "name"), request.runtime_name))
    if request.runtime_type:
        wishes.append(Wish("-t", ("modelsRuntime", 0, "type"), request.runtime_type))
    return wishes


def region_of(request: DeployRequest, config_file: Path) -> str | None:
    """`-R`, else the configuration's, else where the AWS SDK points."""
    if request.region:
        return request.region
    values = Source.read(config_file).values if config_file.is_file() else {}
    configured = values.get("region")
    return str(configured) if configured else Clients().region


def _runtime_count(config_file: Path) -> int:
    if not config_file.is_file():
        return 1
    runtimes = Source.read(config_file).values.get("modelsRuntime")
    return len(runtimes) if isinstance(runtimes, list) else 1


def again(request: DeployRequest) -> str:
    """The same command once more. What the configuration remembers is said again too: it does no harm."""
    words: Sequence[str | None] = (
        request.argument,
        *_option("-n", request.stack_name),
        *_option("-R", request.region),
        *_option("-b", request.bucket),
        *_option("-s", request.snapshot),
        *_option("-r", request.runtime_name),
        *_option("-t", request.runtime_type),
        *_option("--config", None if request.config_file is None else str(request.config_file)),
        *_option("--base-model", _without_query(request.options.base_model_url)),
        "--on-aws" if request.options.is_built_on_aws else None,
        None if request.options.wants_base_model else "--no-base-model",
        None if request.options.wants_picture else "--no-picture",
    )
    return shlex.join(["./deploy.sh", *filter(None, words)])


def _option(flag: str, value: str | None) -> tuple[str, ...]:
    return () if value is None else (flag, value)


def _without_query(url: str | None) -> str | None:
    """A query may hold a token."""
    return None if url is None else url.split("?", maxsplit=1)[0]


def _print_success(session: Session) -> None:
    outputs = session.journal.read_outputs() or {}
    click.echo(f"\n{session.deployment_id} is deployed.\n\n{table(sorted(outputs.items()))}\n")
    click.echo(f"A picture:\n\n{request_line(outputs, session.config)}\n")
    click.echo(f"Check it: scripts/verify-deployment.sh {session.deployment_id}")
    click.echo(f"Remove it: ./destroy.sh {session.deployment_id}")
