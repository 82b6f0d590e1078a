"""`sdfleet list-deployments`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click

from sdfleet.aws.account import identify
from sdfleet.aws.clients import Clients
from sdfleet.aws.stacks import Stack, Stacks
from sdfleet.errors import DeploymentError
from sdfleet_cli.console import HELP_NAMES, local_deployment, plain_errors, table
from sdfleet_cli.deployment.cdk_app import foundation_stack

#: An output that no other stack of this name has by chance.
_MARK = "sdNotificationLambdaARN"


@dataclass(frozen=True)
class Listed:
    deployment_id: str
    #: A region, or `this machine`.
    place: str
    status: str
    endpoint: str
    changed_at: str


@click.command("list-deployments", context_settings=HELP_NAMES)
@click.option("-R", "--region", metavar="REGION", help="AWS region.  [default: the profile's]")
@click.option("--local", "is_local", is_flag=True, help="Only the deployment on this machine; asks no account.")
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array.")
def list_deployments(region: str | None, is_local: bool, is_json: bool) -> None:
    """List the deployments of an account's region, and the one on this machine."""
    with plain_errors():
        found = _on_this_machine()
        if not is_local:
            try:
                found += _on_the_account(region)
            except DeploymentError as error:
                # Without an account, local mode is all there is; whoever names a region means an account.
                if region is not None or not found:
                    raise
                click.echo(f"Note: no account was asked: {error}", err=True)
    if is_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif not found:
        click.echo("There are no deployments.")
    else:
        head = ["deployment", "place", "status", "endpoint", "changed"]
        rows = [[one.deployment_id, one.place, one.status, one.endpoint, one.changed_at] for one in found]
        click.echo(table([head, *rows]))


def _on_this_machine() -> list[Listed]:
    deployment = local_deployment()
    state = deployment.running()
    if state is None:
        return []
    outputs = deployment.directory.read_outputs() or {}
    status = "running" if state.is_ready else "starting"
    return [Listed("local", "this machine", status, outputs.get("FrontApiEndpoint", ""), "")]


def _on_the_account(region: str | None) -> list[Listed]:
    clients = Clients(region=region)
    account = identify(clients)
    stacks = {stack.name: stack for stack in Stacks(clients.cloudformation).all()}
    services = {name for name, stack in stacks.items() if _MARK in stack.outputs}
    # One that has begun, or is half removed, has a foundation only.
    suffix = foundation_stack("")
    begun = {name.removesuffix(suffix) for name in stacks if name.endswith(suffix)}
    return [
        _listed(name, stacks.get(name) or stacks[foundation_stack(name)], account.region, has_service=name in stacks)
        for name in sorted(services | begun)
    ]


def _listed(name: str, stack: Stack, region: str, *, has_service: bool) -> Listed:
    status = stack.status if has_service else f"foundation only ({stack.status})"
    endpoint = stack.outputs.get("FrontApiEndpoint", "")
    return Listed(name, region, status, endpoint, stack.updated_at.isoformat(timespec="seconds"))
