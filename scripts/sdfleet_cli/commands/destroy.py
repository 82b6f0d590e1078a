"""`sdfleet destroy`."""

from __future__ import annotations

import shutil
import sys

import click

from sdfleet_cli.console import HELP_NAMES, local_deployment, plain_errors
from sdfleet_cli.deployment.place import LOCAL, Place, find_place
from sdfleet_cli.deployment.removal import Inventory, refuse_while_in_use, remove, take_inventory


@click.command(context_settings=HELP_NAMES)
@click.argument("deployment_id", required=False)
@click.option("--local", "is_local", is_flag=True, help="Stop what runs on this machine and delete all of it.")
@click.option("-R", "--region", metavar="REGION", help="AWS region.  [default: where it was deployed to from here]")
@click.option("-d", "--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--force", is_flag=True, help="Remove it although tasks are queued or running; they are lost.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def destroy(
    deployment_id: str | None, is_local: bool, region: str | None, dry_run: bool, force: bool, yes: bool
) -> None:
    """Remove a deployment: from an AWS account, or the one on this machine with --local.

    The buckets with outputs and models stay, and a new deployment of that name finds them.
    """
    if is_local or deployment_id == LOCAL:
        if deployment_id not in (None, LOCAL) or region is not None:
            raise click.UsageError("--local goes with neither a deployment's name nor a region")
        _destroy_here(is_dry=dry_run)
        return
    with plain_errors():
        place = find_place(deployment_id=deployment_id, region=region)
        with place.journal.exclusively():
            _destroy(place, is_dry=dry_run, is_forced=force, is_sure=yes)
        if not dry_run:
            shutil.rmtree(place.journal.path, ignore_errors=True)


def _destroy(place: Place, *, is_dry: bool, is_forced: bool, is_sure: bool) -> None:
    config = place.config
    account = place.account
    inventory = take_inventory(
        place.clients, account, place.deployment_id, config.model_bucket if config is not None else None
    )
    if inventory.is_empty:
        click.echo(f"There is no {place.deployment_id} in {account.region}, account {account.account_id}.")
        return
    click.echo(f"{place.deployment_id} in {account.region}, account {account.account_id}:")
    for line in _lines(inventory):
        click.echo(f"  {line}")
    if not is_forced:
        refuse_while_in_use(inventory)
    if is_dry:
        click.echo("Nothing was removed.")
        return
    if not is_sure:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody is there to ask; add --yes to remove all of it")
        click.confirm("Remove it?", abort=True)
    remove(place.clients, inventory, lambda text: click.echo(f"       {text}"))
    click.echo(f"{place.deployment_id} is removed. These stay: {', '.join(_urls(inventory))}")


def _lines(inventory: Inventory) -> list[str]:
    kept = ", ".join(_urls(inventory))
    return [
        *(f"stack {stack.name}: {stack.status}" for stack in inventory.stacks),
        *(f"fleet {group.name}: {group.instances} instances" for group in inventory.groups),
        f"tasks queued or running: {inventory.task_count}",
        *(f"repository {repository} with its images" for repository in inventory.repositories),
        f"parameters: {len(inventory.parameters)}",
        f"inputs and dead letters in s3://{inventory.inbox_bucket}",
        f"stays: {kept}",
    ]


def _urls(inventory: Inventory) -> list[str]:
    return [f"s3://{bucket}" for bucket in inventory.kept_buckets]


def _destroy_here(*, is_dry: bool) -> None:
    deployment = local_deployment()
    with plain_errors(), deployment.exclusively():
        if is_dry:
            state = deployment.directory.read_state()
            count = 0 if state is None else 1 + len(state.children)
            click.echo(f"Would stop {count} processes and delete {deployment.directory.path} (nothing was stopped).")
            return
        was_there = deployment.stop()
    click.echo("Local mode has been stopped; nothing is left." if was_there else "Local mode is not running.")
