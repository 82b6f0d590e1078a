"""`sdfleet rehearse-releases`."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict
from datetime import timedelta

import click

from sdfleet_cli.commands.durations import Duration
from sdfleet_cli.console import HELP_NAMES, ExitStatus, checkout_root, plain_errors

#: Of scenes and what is between them; a run that takes longer has gone wrong.
_LONGEST = timedelta(minutes=45)


@click.command("rehearse-releases", context_settings=HELP_NAMES)
@click.option("--instances", type=click.IntRange(2, 16), default=5, show_default=True, help="Of the fleet.")
@click.option("--rate", type=click.FloatRange(0.1, 50), default=5.0, show_default=True, help="Tasks a second.")
@click.option("--bake", type=Duration(), default=timedelta(seconds=20), show_default="20s", help="Of every rollout.")
@click.option("--only", multiple=True, metavar="SCENE", help="This scene; may be given several times.  [default: all]")
@click.option("--list", "is_list", is_flag=True, help="List the scenes.")
@click.option("--json", "is_json", is_flag=True, help="Print the account as JSON.")
def rehearse_releases(
    instances: int, rate: float, bake: timedelta, only: tuple[str, ...], is_list: bool, is_json: bool
) -> None:
    """Rehearse releases on a deployment of its own on this machine: good ones, bad ones, and back.

    A steady load goes on meanwhile, and every task of it is accounted for. Ends with status 1 if anything was not as
    docs/operations/releases.md says.
    """
    # The SDK takes longer to import than most commands take to run.
    from sdfleet_cli.rehearsal.report import rehearse
    from sdfleet_cli.rehearsal.scenes import SCENES

    if is_list:
        click.echo("\n".join(SCENES))
        return
    unknown = sorted(set(only) - SCENES.keys())
    if unknown:
        raise click.UsageError(f"there is no scene {unknown[0]}; there are {', '.join(SCENES)}")
    # Ended from outside, or by its own alarm clock, it has to clean up as it does after Ctrl-C. A shell has what it
    # starts in the background ignore Ctrl-C; the terminals of the rehearsal would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.default_int_handler)
    signal.alarm(int(_LONGEST.total_seconds()))
    began = time.monotonic()
    with plain_errors():
        outcome = rehearse(
            checkout_root(),
            [name for name in SCENES if not only or name in only],
            instances=instances,
            per_second=rate,
            bake=bake,
            on_step=lambda text: click.echo(f"[{time.monotonic() - began:5.0f} s] {text}", err=True),
        )
    signal.alarm(0)
    click.echo(json.dumps(asdict(outcome), indent=2) if is_json else outcome.to_text())
    if not outcome.is_clean:
        sys.exit(ExitStatus.FAILED)
