"""Runs the steps one after another: shows them, skips what is done and still true, and says where to go on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import click

from sdfleet.errors import ConfigError, DeploymentError, DeploymentRefused, SdfleetError
from sdfleet_cli.deployment.journal import FinishedStep
from sdfleet_cli.deployment.session import Session


class Step(Protocol):
    """One thing that a deployment needs. It may be run again at any time: what is there already is kept."""

    @property
    def name(self) -> str:
        """One word, as `--redo` takes it."""

    @property
    def title(self) -> str: ...

    def inputs(self, session: Session) -> Mapping[str, object]:
        """All that its result depends on, as JSON."""

    def holds(self, session: Session) -> bool:
        """Whether its earlier result still is there; asked only if the inputs are unchanged."""

    def run(self, session: Session) -> Mapping[str, str]:
        """Do it; what it found out, for the steps after it.

        Raises:
            SdfleetError: what happened and what to do, in one sentence.
        """


@dataclass(frozen=True)
class StepFailed(Exception):
    step: str
    number: int
    count: int
    cause: SdfleetError


def run_steps(steps: Sequence[Step], session: Session, *, redo: frozenset[str], again: str) -> None:
    """`again`: the command that goes on after a failure.

    Raises:
        DeploymentError: a step failed; the sentence names it and the command.
    """
    for number, step in enumerate(steps, start=1):
        began = time.monotonic()
        head = f"[{number}/{len(steps)}] {step.title}"
        try:
            digest = digest_of(step.inputs(session), session)
            if step.name not in redo and _is_done(step, digest, session):
                click.echo(f"{head}: done already, nothing has changed")
                continue
            click.echo(head)
            session.journal.forget(step.name)
            results = step.run(session)
            session.journal.finish(step.name, FinishedStep(digest, dict(results)))
        except KeyboardInterrupt:
            click.echo("")
            raise DeploymentError(
                f"Interrupted in step {number} of {len(steps)} ({step.name}); what AWS has begun goes on there.\n"
                f"Go on with: {again}"
            ) from None
        except SdfleetError as error:
            kind = type(error) if isinstance(error, DeploymentRefused | ConfigError) else DeploymentError
            raise kind(
                f"{error}\nStep {number} of {len(steps)} ({step.name}) failed; what is finished stays. "
                f"Go on from it with: {again}"
            ) from error
        click.echo(f"       done in {time.monotonic() - began:.0f} s")


def digest_of(inputs: Mapping[str, object], session: Session) -> str:
    place = {"account": session.account.account_id, "region": session.account.region}
    return hashlib.sha256(json.dumps({**inputs, **place}, sort_keys=True, default=str).encode()).hexdigest()


def _is_done(step: Step, digest: str, session: Session) -> bool:
    finished = session.journal.finished(step.name)
    return finished is not None and finished.inputs == digest and step.holds(session)
