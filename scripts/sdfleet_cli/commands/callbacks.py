"""`sdfleet callbacks`: the secret that signs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sdfleet.aws.callback_secret import SsmCallbackSecret
from sdfleet.aws.operator_errors import explained
from sdfleet.domain import names
from sdfleet_cli.console import HELP_NAMES, plain_errors
from sdfleet_cli.reach import reach


def _of_a_deployment(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("-R", "--region", help="The deployment's region.  [default: the configuration's]")(command)
    return click.argument("deployment_id", required=False)(command)


@click.group(context_settings=HELP_NAMES)
def callbacks() -> None:
    """Read or change the secret of callbacks.

    Without DEPLOYMENT_ID: of the deployment on this machine if it runs, else of the configuration's.
    """


@callbacks.command(context_settings=HELP_NAMES)
@_of_a_deployment
def secret(deployment_id: str | None, region: str | None) -> None:
    """Print the secret; two, the newest first, while one is being changed."""
    with plain_errors(), explained():
        click.echo(_secret(deployment_id, region).read())


@callbacks.command(context_settings=HELP_NAMES)
@_of_a_deployment
@click.option("--finish", "is_finishing", is_flag=True, help="Drop the former secret: every receiver has the new one.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def rotate(deployment_id: str | None, region: str | None, is_finishing: bool, dry_run: bool) -> None:
    """Make a new secret beside the newest one; both sign until --finish."""
    with plain_errors(), explained():
        store = _secret(deployment_id, region)
        if dry_run:
            change = "the former secret would be dropped" if is_finishing else "a new secret would sign beside this one"
            click.echo(f"{len(store.read().split())} in use; {change}.")
            return
        click.echo(store.drop_former() if is_finishing else store.rotate())
    click.echo("Signatures follow within five minutes.", err=True)


def _secret(deployment_id: str | None, region: str | None) -> SsmCallbackSecret:
    reached = reach(deployment_id, region)
    return SsmCallbackSecret(reached.clients.ssm, names.callback_secret_parameter(reached.deployment_id))
