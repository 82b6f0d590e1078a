"""`sdfleet local watch`: the fleets on this machine as they grow and shrink."""

from __future__ import annotations

import contextlib
import sys
import time
from datetime import UTC, datetime

import click

from sdfleet_cli.console import HELP_NAMES, plain_errors
from sdfleet_local.scaling_view import lines, summary

_HOME_AND_CLEAR = "\x1b[H\x1b[J"


@click.command(context_settings=HELP_NAMES)
@click.option("--every", "every_s", type=click.FloatRange(0.2), default=1.0, show_default=True, metavar="S")
@click.option("--once", is_flag=True, help="Show the present moment and end.")
def watch(every_s: float, once: bool) -> None:
    """Show queues, instances and the fast scaler of the deployment on this machine, until Ctrl-C.

    Into a file or a pipe goes a line for each change.
    """
    # The SDK takes its time, and the other commands of the group need none of it.
    from sdfleet_cli.fleet_watch import FleetWatch

    with plain_errors(), contextlib.suppress(KeyboardInterrupt):
        view = FleetWatch()
        last = ""
        while True:
            fleets = view.fleets()
            if once:
                click.echo("\n".join(lines(fleets, now=datetime.now(UTC))))
                return
            if sys.stdout.isatty():
                click.echo(_HOME_AND_CLEAR + "\n".join(lines(fleets, now=datetime.now(UTC))))
            elif (line := summary(fleets)) != last:
                click.echo(f"{datetime.now(UTC):%H:%M:%S} {line}")
                sys.stdout.flush()
                last = line
            time.sleep(every_s)
