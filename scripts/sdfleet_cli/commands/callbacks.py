"""`sdfleet callbacks`: the secret that signs them, and those that were given up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from sdfleet.aws.callback_secret import SsmCallbackSecret
from sdfleet.aws.operator_errors import explained
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.domain import names
from sdfleet_cli.console import HELP_NAMES, plain_errors, table
from sdfleet_cli.given_up import GivenUp, given_up
from sdfleet_cli.given_up import redeliver as send_back
from sdfleet_cli.reach import Reach, reach


def _of_a_deployment(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("-R", "--region", help="The deployment's region.  [default: the configuration's]")(command)
    return click.argument("deployment_id", required=False)(command)


@click.group(context_settings=HELP_NAMES)
def callbacks() -> None:
    """Read or change the secret of callbacks; see and send back those that were given up.

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


@callbacks.command("list", context_settings=HELP_NAMES)
@_of_a_deployment
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array.")
def list_given_up(deployment_id: str | None, region: str | None, is_json: bool) -> None:
    """List the callbacks that were given up after the last try. They stay where they are."""
    with plain_errors(), explained():
        found = given_up(_queues(reach(deployment_id, region))[1])
    if is_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif found:
        click.echo(table([["TASK", "HOST", "WEBHOOK-ID"], *map(_row, found)]))
    else:
        click.echo("No callback was given up.")


@callbacks.command(context_settings=HELP_NAMES)
@_of_a_deployment
@click.option("--task", "tasks", multiple=True, metavar="ID", help="Of this task only; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent back, and send nothing.")
def redeliver(deployment_id: str | None, region: str | None, tasks: tuple[str, ...], dry_run: bool) -> None:
    """Send callbacks that were given up back to be tried anew, all unless --task names some."""
    with plain_errors(), explained():
        queue, dead_letters = _queues(reach(deployment_id, region))
        if dry_run:
            found = given_up(dead_letters)
            sent = [one for one in found if one.event_id and (not tasks or one.task_id in tasks)]
        else:
            sent = send_back(dead_letters, queue, only=tasks)
    for one in sent:
        click.echo(f"{one.task_id or one.event_id} to {one.host}")
    click.echo(f"{len(sent)} {'would be sent' if dry_run else 'sent'} back.")


def _row(one: GivenUp) -> list[str]:
    return [one.task_id or "-", one.host or "-", one.event_id or "no callback of this service"]


def _queues(reached: Reach) -> tuple[SqsTaskQueue, SqsTaskQueue]:
    """Of callbacks, and of those that were given up."""
    sqs = reached.clients.sqs
    name = names.callback_queue_name(reached.deployment_id)
    first, second = (
        SqsTaskQueue(sqs, sqs.get_queue_url(QueueName=one)["QueueUrl"])
        for one in (name, names.dead_letter_queue_name(name))
    )
    return first, second


def _secret(deployment_id: str | None, region: str | None) -> SsmCallbackSecret:
    reached = reach(deployment_id, region)
    return SsmCallbackSecret(reached.clients.ssm, names.callback_secret_parameter(reached.deployment_id))
