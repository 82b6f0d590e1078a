"""`sdfleet tour`: the whole life of a deployment on this machine, by the commands that a user types."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import click

from sdfleet.errors import DeploymentError
from sdfleet_cli.console import HELP_NAMES, checkout_root, local_deployment, plain_errors
from sdfleet_cli.deployment.sample_requests import sample_tasks
from sdfleet_cli.deployment.service_client import Outcome, ServedRuntime, ServiceClient
from sdfleet_local.control import ControlClient
from sdfleet_local.deployment import RefusedByState

#: As many as a canary of a third needs.
INSTANCES = 3
#: One would lag behind a rollout, ten would be the machine's test instead of the service's.
TASKS_PER_SECOND = 1.0
VERSION = "1.1.0"
BAKE = "5s"
#: Long beside a test pattern's second, short beside a user's patience with a tour.
REPLACED_WITHIN = timedelta(minutes=3)
ENDED_WITHIN = timedelta(minutes=2)
_LOOK = timedelta(seconds=1)


@dataclass
class SteadyLoad:
    """Sends tasks, one after another, until it is stopped."""

    service: ServiceClient
    runtime: ServedRuntime
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._send, name="load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def outcomes(self) -> list[Outcome]:
        """How each has ended.

        Raises:
            DeploymentError: one has not.
        """
        return [self.service.outcome(task_id, patience=ENDED_WITHIN) for task_id in self.accepted]

    def _send(self) -> None:
        while not self._is_over.wait(1 / TASKS_PER_SECOND):
            try:
                self.accepted.append(self.service.submit(sample_tasks(self.runtime.name, self.runtime.type)[0]))
            except DeploymentError as error:
                self.refused.append(str(error))


@click.command(context_settings=HELP_NAMES)
def tour() -> None:
    """Deploy here, generate, release a version with a canary, roll it back, lose a Spot instance, remove everything.

    Takes two to three minutes, shows each command before it runs it, and keeps one task a second coming meanwhile: at
    the end it says how each of them has ended. Ends with status 1 if one was lost or has failed.
    """
    with plain_errors():
        deployment = local_deployment()
        if deployment.running() is not None:
            raise RefusedByState(
                "A local deployment runs in this checkout; the tour makes its own. ./destroy.sh --local"
            )
        try:
            is_well = _walk()
        finally:
            _type("Remove everything", "destroy", "--local")
    sys.exit(0 if is_well else 1)


def _walk() -> bool:
    _type("Deploy the service on this machine", "deploy", "--local", "--instances", str(INSTANCES), "--port", "0")
    outputs = local_deployment().outputs()
    service = ServiceClient(outputs["FrontApiEndpoint"], outputs["ApiKey"])
    _type("Generate", "verify", "--local")
    load = SteadyLoad(service, service.runtimes()[0])
    load.start()
    try:
        _type("Build a version", "build-images", "local", VERSION)
        rollout = ("--percentage", "33", "--bake", BAKE, "--wait", "--yes")
        _type("Release it, a third of the fleet first", "deploy-new-version", "local", VERSION, *rollout)
        _type("Roll it back", "rollback", "local", "--wait", "--yes")
        _lose_an_instance()
        _type("What is in service now", "local", "instances")
    finally:
        load.stop()
    return _account(load)


def _lose_an_instance() -> None:
    control = local_deployment().control()
    before = _in_service(control)
    lost = min(before)
    _type("Lose a Spot instance", "local", "interrupt", lost)
    began = time.monotonic()
    while time.monotonic() - began < REPLACED_WITHIN.total_seconds():
        now = _in_service(control)
        if lost not in now and len(now) >= INSTANCES:
            click.echo(f"{', '.join(sorted(now - before))} took its place after {time.monotonic() - began:.0f} s.")
            return
        time.sleep(_LOOK.total_seconds())
    raise DeploymentError(
        f"{lost} was not replaced within {REPLACED_WITHIN.total_seconds():.0f} s; see sdfleet local logs."
    )


def _in_service(control: ControlClient) -> set[str]:
    return {one["instance_id"] for one in control.instances() if one["state"] == "InService"}


def _account(load: SteadyLoad) -> bool:
    click.secho("\n# What became of every task", bold=True)
    try:
        outcomes = load.outcomes()
    except DeploymentError as error:
        raise DeploymentError(f"A task is lost: {error}") from error
    unwell = [one for one in outcomes if not one.is_success]
    click.echo(
        f"{len(outcomes)} accepted, {len(outcomes) - len(unwell)} succeeded, {len(unwell)} failed, 0 lost; "
        f"{len(load.refused)} refused at the door."
    )
    for one in unwell:
        click.echo(f"  {one.status}: {one.error}")
    for refusal in load.refused:
        click.echo(f"  {refusal}")
    return not unwell and not load.refused


def _type(what: str, *words: str) -> None:
    """Raises:
    DeploymentError: the command has failed; it has said why.
    """
    click.secho(f"\n# {what}", bold=True)
    click.echo(f"$ sdfleet {' '.join(words)}")
    environment = {**os.environ, "SDFLEET_ROOT": str(checkout_root())}
    ended = subprocess.run([sys.executable, "-m", "sdfleet_cli.main", *words], env=environment, check=False)
    if ended.returncode:
        raise DeploymentError(f"sdfleet {words[0]} ended with status {ended.returncode}.")
