"""`sdfleet local`: looks into the deployment on this machine, and sends its instances away."""

from __future__ import annotations

import contextlib
import json

import click

from sdfleet_cli.commands.watch import watch
from sdfleet_cli.console import HELP_NAMES, local_deployment, plain_errors, table
from sdfleet_local import log_reader

_COLUMNS = ("instance_id", "state", "runtime", "release", "pid", "imds_url")


@click.group(context_settings=HELP_NAMES)
def local() -> None:
    """Look into the deployment on this machine, and send its instances away."""


@local.command(context_settings=HELP_NAMES)
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array.")
def instances(is_json: bool) -> None:
    """List the instances with their lifecycle states."""
    with plain_errors():
        found = local_deployment().control().instances()
    if is_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [[str(instance[column]) for column in _COLUMNS] for instance in found]
    click.echo(table([list(_COLUMNS), *rows]))


@local.command(context_settings=HELP_NAMES)
@click.option("-f", "--follow/--no-follow", "is_following", default=True, help="Wait for more.  [default: follow]")
def logs(is_following: bool) -> None:
    """Print the logs of all processes, and follow them until Ctrl-C."""
    deployment = local_deployment()
    with plain_errors():
        if is_following:
            deployment.control()
            lines = log_reader.follow(deployment.directory.logs, lambda: deployment.running() is not None)
        else:
            lines = log_reader.lines(deployment.directory.logs)
        with contextlib.suppress(KeyboardInterrupt):
            for line in lines:
                click.echo(line)


@local.command(context_settings=HELP_NAMES)
@click.argument("instance_id")
def interrupt(instance_id: str) -> None:
    """Post a Spot interruption notice to an instance: it is taken away after two minutes."""
    with plain_errors():
        ends_at = local_deployment().control().interrupt(instance_id)
    click.echo(f"{instance_id} has its notice; it will be taken away at {ends_at}.")


@local.command(context_settings=HELP_NAMES)
@click.argument("instance_id")
def rebalance(instance_id: str) -> None:
    """Post a rebalance recommendation to an instance: it goes once its replacement is in service."""
    with plain_errors():
        local_deployment().control().recommend_rebalance(instance_id)
    click.echo(f"{instance_id} has its recommendation; a replacement starts.")


@local.command(context_settings=HELP_NAMES)
@click.argument("instance_id")
def terminate(instance_id: str) -> None:
    """Let the group end an instance, through its termination hook, and replace it."""
    with plain_errors():
        local_deployment().control().terminate(instance_id)
    click.echo(f"{instance_id} goes when what it has in hand is settled; a replacement starts.")


@local.command(context_settings=HELP_NAMES)
@click.argument("instance_id")
def drain(instance_id: str) -> None:
    """Have an instance's scheduler receive nothing more, finish or give back what it has in hand, and leave."""
    with plain_errors():
        local_deployment().control().drain(instance_id)
    click.echo(f"{instance_id} drains; the group replaces it once it has left.")


local.add_command(watch)
