"""`sdfleet scale`: an operator's number of instances, in the place of the queue's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from sdfleet.domain.fleet_observation import ManualSetting
from sdfleet_cli.commands.durations import Duration
from sdfleet_cli.console import HELP_NAMES, plain_errors
from sdfleet_cli.scaled_fleets import find_fleet


@click.command(context_settings=HELP_NAMES)
@click.argument("deployment_id")
@click.argument("runtime")
@click.argument("capacity", type=click.IntRange(0), required=False, metavar="[N]")
@click.option("-R", "--region", help="The deployment's region.  [default: the configuration's]")
@click.option("--for", "duration", type=Duration(), help="So long, like 2h; then the queue decides again.")
@click.option("--release", "is_released", is_flag=True, help="Let the queue decide again, now.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
def scale(
    deployment_id: str,
    runtime: str,
    capacity: int | None,
    region: str | None,
    duration: timedelta | None,
    is_released: bool,
    dry_run: bool,
) -> None:
    """Set the number of a fleet's instances: N, no more and no fewer, until --release or for a while.

    Instances above it go when they have nothing in hand. Without N: what holds now.
    """
    if is_released and (capacity is not None or duration is not None):
        raise click.UsageError("--release goes with neither N nor --for")
    if duration is not None and capacity is None:
        raise click.UsageError("--for needs N, the number of instances")
    with plain_errors():
        fleet = find_fleet(deployment_id, runtime, region=region)
        if is_released:
            if not dry_run:
                fleet.release()
            click.echo(f"{'Would let' if dry_run else 'Now'} the queue {'decide' if dry_run else 'decides'} again.")
            return
        if capacity is None:
            click.echo(_present(runtime, fleet.group.look().desired, fleet.record().manual))
            return
        state = fleet.check(capacity)
        until = None if duration is None else datetime.now(UTC) + duration
        if not dry_run:
            fleet.pin(capacity, until=until)
        how_long = "until --release" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"
        verb = "would have" if dry_run else "has"
        click.echo(f"{runtime} {verb} {capacity} instances {how_long}; it was asked for {state.desired}.")


def _present(runtime: str, desired: int, manual: ManualSetting | None) -> str:
    if manual is None or not manual.holds(datetime.now(UTC)):
        return f"{runtime} is asked for {desired} instances, by its queue."
    how_long = "until --release" if manual.until is None else f"until {manual.until:%Y-%m-%d %H:%M} UTC"
    return f"{runtime} has {manual.capacity} instances {how_long}, by an operator; it is asked for {desired}."
