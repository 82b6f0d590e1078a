"""`sdfleet verify`: the seeds' test run."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta

import click

from sdfleet.aws.stacks import Stacks
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import DeploymentError
from sdfleet_cli.console import HELP_NAMES, ExitStatus, local_deployment, plain_errors, table
from sdfleet_cli.deployment.first_picture import client_of
from sdfleet_cli.deployment.place import LOCAL, find_place
from sdfleet_cli.deployment.sample_requests import sample_tasks
from sdfleet_cli.deployment.service_client import Outcome, ServedRuntime, ServiceClient
from sdfleet_cli.deployment.topic_client import TopicClient


@dataclass(frozen=True)
class Verified:
    runtime: str
    tasktype: str
    task_id: str
    status: str
    #: From the request to its end.
    seconds: float
    links: tuple[str, ...]
    error: str | None


@click.command(context_settings=HELP_NAMES)
@click.argument("deployment_id", required=False, envvar="STACK_NAME")
@click.option("--local", "is_local", is_flag=True, help="The deployment on this machine.")
@click.option("-R", "--region", metavar="REGION", help="AWS region.  [default: where it was deployed to from here]")
@click.option("-r", "--runtime-name", metavar="NAME", help="Only this runtime.  [default: all of them]")
@click.option(
    "-t",
    "--runtime-type",
    type=click.Choice([one.value for one in RuntimeType]),
    envvar="RUNTIME_TYPE",
    help="Only runtimes of this type.  [default: all of them]",
)
@click.option(
    "--timeout",
    "timeout_minutes",
    type=click.IntRange(1, 180),
    default=40,
    show_default=True,
    help="Minutes to wait for each picture: a sleeping fleet starts an instance first.",
)
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array.")
def verify(
    deployment_id: str | None,
    is_local: bool,
    region: str | None,
    runtime_name: str | None,
    runtime_type: str | None,
    timeout_minutes: int,
    is_json: bool,
) -> None:
    """Send one request of each type that the deployment serves, wait for the pictures, and show their links.

    SD Web UI: text-to-image, image-to-image and extra-single-image; ComfyUI: a pipeline. As in the guidance's test run,
    STACK_NAME and RUNTIME_TYPE are read from the environment too.
    """
    with plain_errors():
        if is_local or deployment_id == LOCAL:
            outputs = local_deployment().outputs()
            here = ServiceClient(outputs["FrontApiEndpoint"], outputs["ApiKey"])
            service: ServiceClient | TopicClient = here
            runtimes = here.runtimes()
        else:
            service, runtimes = _on_the_account(deployment_id, region)
        chosen = [one for one in runtimes if runtime_name in (None, one.name) and runtime_type in (None, str(one.type))]
        if not chosen:
            there = ", ".join(f"{one.name} ({one.type})" for one in runtimes)
            raise DeploymentError(f"There is no such runtime; there are {there}.")
        results = [
            one for runtime in chosen for one in _verify(service, runtime, timedelta(minutes=timeout_minutes), is_json)
        ]
    _print(results, is_json=is_json)
    if any(one.status != "succeeded" for one in results):
        sys.exit(ExitStatus.FAILED)


def _on_the_account(
    deployment_id: str | None, region: str | None
) -> tuple[ServiceClient | TopicClient, list[ServedRuntime]]:
    place = find_place(deployment_id=deployment_id, region=region)
    stack = Stacks(place.clients.cloudformation).find(place.deployment_id)
    if stack is None or not stack.is_usable:
        raise DeploymentError(
            f"{place.deployment_id} is {'not deployed' if stack is None else stack.status} in {place.account.region}; "
            f"deploy it with ./deploy.sh {place.deployment_id}."
        )
    service = client_of(stack.outputs, place.clients, place.deployment_id)
    if isinstance(service, ServiceClient):
        return service, service.runtimes()
    config = place.config
    if config is None:
        raise DeploymentError(f"Without an API the runtimes are read from {place.config_file}, which cannot be read.")
    return service, [ServedRuntime(one.name, one.type) for one in config.runtimes]


def _verify(
    service: ServiceClient | TopicClient, runtime: ServedRuntime, patience: timedelta, is_quiet: bool
) -> list[Verified]:
    """All at once, as callers do: a fleet that wakes for one wakes for all of them."""
    began = time.monotonic()
    sent = []
    for task in sample_tasks(runtime.name, runtime.type):
        task_id = service.submit(task)
        sent.append((task_id, str(task["metadata"]["tasktype"])))
        click.echo(f"{runtime.name}: {task_id} is accepted", err=is_quiet)
    results = []
    for task_id, tasktype in sent:
        left = patience - timedelta(seconds=time.monotonic() - began)
        outcome = _outcome(service, task_id, left, is_quiet)
        seconds = round(time.monotonic() - began, 1)
        links = outcome.links or outcome.locations
        results.append(Verified(runtime.name, tasktype, task_id, outcome.status, seconds, links, outcome.error))
    return results


def _outcome(service: ServiceClient | TopicClient, task_id: str, patience: timedelta, is_quiet: bool) -> Outcome:
    last = 0.0

    def on_wait(status: str, waited_s: float) -> None:
        nonlocal last
        if waited_s - last >= 15:
            last = waited_s
            click.echo(f"  {waited_s:4.0f} s  {task_id} is {status}", err=is_quiet)

    try:
        return service.outcome(task_id, patience=patience, on_wait=on_wait)
    except DeploymentError as error:
        # The others may have come all the same.
        return Outcome("unfinished", (), (), str(error), None, None)


def _print(results: list[Verified], *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps([asdict(one) for one in results], indent=2))
        return
    head = ["runtime", "task type", "status", "seconds", "task"]
    rows = [[one.runtime, one.tasktype, one.status, f"{one.seconds:.1f}", one.task_id] for one in results]
    click.echo(f"\n{table([head, *rows])}\n")
    for one in results:
        for link in one.links:
            click.echo(f"{one.tasktype}: {link}")
        if one.error:
            click.echo(f"{one.tasktype}: {one.error}")
