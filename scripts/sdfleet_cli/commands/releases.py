"""`sdfleet deploy-new-version|rollback|promote|check-deployment-status`: which release the fleets run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from sdfleet.domain.rollout import Phase, Rollout, Wish
from sdfleet.errors import DeploymentError, DeploymentRefused, ServiceUnavailable
from sdfleet_cli.commands.durations import Duration
from sdfleet_cli.console import HELP_NAMES, ExitStatus, plain_errors
from sdfleet_cli.fleets import find_fleets
from sdfleet_cli.rollout_report import alarms_in_words, as_json, canary_in_words, in_words, phase_in_words, report
from sdfleet_lambdas.rollouts import FleetRollouts

#: Between two looks at a rollout that somebody waits for.
POLL_S = 2.0


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("-R", "--region", help="The deployment's region.  [default: the configuration's]")(command)
    command = click.option("--runtime", help="This fleet only.  [default: all of the deployment]")(command)
    return click.argument("deployment_id")(command)


def _moving(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--why", default="", help="Kept with the rollout's history.")(command)
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    return click.option("--wait", is_flag=True, help="Show the progress until it is over; Ctrl-C stops the showing.")(
        command
    )


@click.command("deploy-new-version", context_settings=HELP_NAMES)
@_common
@click.argument("version")
@click.option("--percentage", type=click.IntRange(1, 100), default=20, show_default=True, help="Of the canary.")
@click.option(
    "--bake",
    type=Duration(),
    default=timedelta(minutes=15),
    show_default="15m",
    help="Wait after the canary, and again after the whole fleet; an alarm meanwhile turns the rollout back.",
)
@click.option("--hold", is_flag=True, help="Wait after the canary until scripts/promote.sh, 47 hours at most.")
@click.option(
    "--floor",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Have N instances at least until the rollout is over: a canary for a small or sleeping fleet.",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@_moving
def deploy_new_version(
    deployment_id: str,
    version: str,
    region: str | None,
    runtime: str | None,
    percentage: int,
    bake: timedelta,
    hold: bool,
    floor: int,
    dry_run: bool,
    why: str,
    yes: bool,
    wait: bool,
) -> None:
    """Move the fleets of DEPLOYMENT_ID to VERSION, a canary first.

    It returns as soon as the rollout is accepted; from then on it goes on by itself.
    """
    with plain_errors():
        by, fleets = find_fleets(deployment_id, region=region, runtime=runtime)
        wish = Wish(percentage, bake, hold=hold, by=by, why=why, floor=floor)
        for fleet in fleets:
            fleet.check_start(version, wish)
            click.echo(
                f"{fleet.runtime}: {fleet.current_version()} -> {version}, "
                f"{canary_in_words(percentage, fleet.group.state(), floor=floor)}; bake {int(bake.total_seconds())} s"
            )
        if dry_run:
            return
        _confirm(yes)
        for fleet in fleets:
            _say(fleet.start(version, wish))
        _see_through(fleets, is_waiting=wait, deployment_id=deployment_id, wanted={Phase.SUCCEEDED})


@click.command("rollback", context_settings=HELP_NAMES)
@_common
@click.option("--to", "version", help="This version.  [default: the one before the present one]")
@_moving
def rollback(
    deployment_id: str,
    region: str | None,
    runtime: str | None,
    version: str | None,
    why: str,
    yes: bool,
    wait: bool,
) -> None:
    """Turn back the rollout that is under way; else return to the version before the present one.

    Without a canary and without a bake: what is behind is known to work.
    """
    with plain_errors():
        by, fleets = find_fleets(deployment_id, region=region, runtime=runtime)
        plans = [(fleet, _way_back(fleet, version)) for fleet in fleets]
        for fleet, target in plans:
            click.echo(f"{fleet.runtime}: {_way_back_in_words(fleet, target)}")
        _confirm(yes)
        for fleet, target in plans:
            if target is None:
                _say(fleet.roll_back(by=by, why=why))
            else:
                _say(fleet.start(target, Wish(100, timedelta(), by=by, why=why or "rollback")))
        ended_well = {Phase.ROLLED_BACK, Phase.SUCCEEDED}
        _see_through(fleets, is_waiting=wait, deployment_id=deployment_id, wanted=ended_well)


@click.command("promote", context_settings=HELP_NAMES)
@_common
@_moving
def promote(deployment_id: str, region: str | None, runtime: str | None, why: str, yes: bool, wait: bool) -> None:
    """Let the rest of the fleet follow its canary now."""
    with plain_errors():
        by, fleets = find_fleets(deployment_id, region=region, runtime=runtime)
        waiting = [fleet for fleet in fleets if _is_promotable(fleet)]
        if not waiting:
            raise DeploymentRefused(f"No fleet of {deployment_id} has a finished canary that waits.")
        for fleet in waiting:
            click.echo(f"{fleet.runtime}: the whole fleet follows the canary now")
        _confirm(yes)
        for fleet in waiting:
            _say(fleet.promote(by=f"{by}: {why}" if why else by))
        _see_through(waiting, is_waiting=wait, deployment_id=deployment_id, wanted={Phase.SUCCEEDED})


@click.command("check-deployment-status", context_settings=HELP_NAMES)
@_common
@click.option("--json", "is_json", is_flag=True, help="Print one JSON array, a fleet an entry.")
@click.option("--wait", is_flag=True, help="Show the progress until no rollout is under way.")
def check_deployment_status(
    deployment_id: str, region: str | None, runtime: str | None, is_json: bool, wait: bool
) -> None:
    """Show what every fleet runs, by instances, and how its rollout stands."""
    with plain_errors():
        _, fleets = find_fleets(deployment_id, region=region, runtime=runtime)
        if wait:
            _see_through(fleets, is_waiting=True, deployment_id=deployment_id, wanted=set(Phase))
        reports = [report(fleet) for fleet in fleets]
        if is_json:
            click.echo(as_json(reports))
            return
        for one in reports:
            click.echo(in_words(one, now=datetime.now(UTC)))


def _way_back(fleet: FleetRollouts, version: str | None) -> str | None:
    """The version to roll out; None: there is a rollout to turn back."""
    current = fleet.history().current
    is_under_way = current is not None and not current.is_over
    if is_under_way and version is None:
        return None
    target = version or fleet.previous_version()
    if target is None:
        raise DeploymentRefused(f"{fleet.runtime} has had one version only; name another with --to.")
    fleet.check_start(target, Wish(100, timedelta()))
    return target


def _way_back_in_words(fleet: FleetRollouts, target: str | None) -> str:
    if target is not None:
        return f"{fleet.current_version()} -> {target}, {canary_in_words(100, fleet.group.state())}"
    current = fleet.history().current
    return f"the rollout to {current.target.version if current else ''} is turned back to {fleet.current_version()}"


def _is_promotable(fleet: FleetRollouts) -> bool:
    rollout = fleet.reconcile()
    return rollout is not None and rollout.is_promotable


def _confirm(yes: bool) -> None:
    if not yes and not click.confirm("Go on?", default=True):
        raise click.exceptions.Exit(ExitStatus.USAGE)


def _say(rollout: Rollout) -> None:
    click.echo(f"{rollout.runtime}: {phase_in_words(rollout, now=datetime.now(UTC))}")


def _see_through(fleets: Sequence[FleetRollouts], *, is_waiting: bool, deployment_id: str, wanted: Set[Phase]) -> None:
    """Show each change until every rollout is over.

    Raises:
        DeploymentError: one ended otherwise than `wanted`.
    """
    status = f"scripts/check-deployment-status.sh {deployment_id}"
    if not is_waiting:
        click.echo(f"It goes on by itself; look with {status}.")
        return
    told: dict[str, str] = {}
    try:
        while True:
            rollouts = [_look(fleet, told) for fleet in fleets]
            if all(rollout is None or rollout.is_over for rollout in rollouts):
                break
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        click.echo(f"\nThe rollout goes on and is recorded; look with {status}.", err=True)
        raise click.exceptions.Exit(130) from None
    unwanted = [one for one in rollouts if one is not None and one.phase not in wanted]
    if unwanted:
        raise DeploymentError(
            "; ".join(f"{one.runtime} ended as {one.phase}: {one.reason or 'no reason given'}" for one in unwanted)
            + "."
        )


def _look(fleet: FleetRollouts, told: dict[str, str]) -> Rollout | None:
    try:
        one = report(fleet, counts_runs=False)
    except (ServiceUnavailable, DeploymentError) as error:
        click.echo(f"{fleet.runtime}: {error}", err=True)
        return fleet.history().current
    if one.rollout is not None:
        key = f"{one.rollout.phase} {one.rollout.percentage_complete} {one.shares} {one.alarms}"
        if told.get(one.runtime) != key:
            told[one.runtime] = key
            words = phase_in_words(one.rollout, now=datetime.now(UTC))
            alarms = f"; {alarms_in_words(one.alarms)}" if one.alarms else ""
            click.echo(f"{one.runtime}: {words}; instances: {one.shares}{alarms}")
    return one.rollout
