"""`sdfleet launch-benchmark`: what a launch takes on this account, phase by phase."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from sdfleet.aws.boot_log import BootReport, CloudWatchBootLog, read_event
from sdfleet.aws.scaled_group import AutoScalingScaledGroup
from sdfleet.domain import names
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.console import HELP_NAMES, local_deployment, plain_errors, table
from sdfleet_cli.fleets import runtimes_of
from sdfleet_cli.launches import BootLog, Launch, LaunchBenchmark, by_phase, percentile
from sdfleet_cli.reach import Reach, reach
from sdfleet_local.plan import DEPLOYMENT_ID as LOCAL_ID


class LocalBootLog:
    """Of an instance on this machine, whose log is a file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, instance_id: str) -> BootReport | None:
        try:
            lines = (self._directory / f"{instance_id}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        return next((report for line in lines if (report := read_event(line))), None)


@click.command("launch-benchmark", context_settings=HELP_NAMES)
@click.argument("deployment_id", required=False)
@click.option("--launches", type=click.IntRange(min=1), default=5, show_default=True, help="In all.")
@click.option("--at-once", type=click.IntRange(min=1), default=1, show_default=True, help="Ordered together.")
@click.option("--runtime", help="Whose fleet.  [default: the deployment's only one]")
@click.option("--timeout", "timeout_s", type=click.IntRange(min=1), default=1500, show_default=True, help="Seconds.")
@click.option("-R", "--region", help="The deployment's region.  [default: the configuration's]")
@click.option("--dry-run", is_flag=True, help="Say what would be launched, and launch nothing.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
def launch_benchmark(
    deployment_id: str | None,
    launches: int,
    at_once: int,
    runtime: str | None,
    timeout_s: int,
    region: str | None,
    dry_run: bool,
    is_json: bool,
) -> None:
    """Launch instances of a fleet one after the other, measure each until its first picture, and end it.

    They are billed like any other, and may take tasks meanwhile. Without DEPLOYMENT_ID: of the deployment on this
    machine if it runs, else of the configuration's.
    """
    with plain_errors():
        reached = reach(deployment_id, region)
        runtime = _runtime(reached, runtime)
        fleet = names.fleet_name(reached.deployment_id, runtime)
        if dry_run:
            click.echo(f"Would launch {launches} instances of {fleet}, {at_once} at once, and end each after its boot.")
            return
        benchmark = LaunchBenchmark(
            AutoScalingScaledGroup(reached.clients.autoscaling, fleet),
            _log(reached, runtime),
            patience=timedelta(seconds=timeout_s),
            on_launch=lambda launch: click.echo(_line(launch), err=True),
        )
        measured = benchmark.measure(launches, at_once=at_once)
    document = {"fleet": fleet, "launches": [_object(one) for one in measured], "phases": _phases(measured)}
    click.echo(json.dumps(document, indent=2) if is_json else _text(measured))


def _runtime(reached: Reach, named: str | None) -> str:
    found = runtimes_of(reached.clients, reached.deployment_id)
    if named is None and len(found) == 1:
        return found[0]
    if named not in found:
        what = "has no fleet" if not found else f"has the runtimes {', '.join(found)}; name one with --runtime"
        raise DeploymentRefused(f"{reached.deployment_id} {what}.")
    return named


def _log(reached: Reach, runtime: str) -> BootLog:
    if reached.deployment_id == LOCAL_ID:
        return LocalBootLog(local_deployment().directory.logs)
    return CloudWatchBootLog(reached.clients.logs, names.fleet_log_group(reached.deployment_id, runtime))


def _line(launch: Launch) -> str:
    if launch.failure is not None:
        return f"{launch.instance_id}: {launch.failure}"
    return f"{launch.instance_id}: " + ", ".join(
        f"{phase} {seconds:.1f} s" for phase, seconds in launch.seconds.items()
    )


def _object(launch: Launch) -> dict[str, Any]:
    seconds = {phase: round(value, 3) for phase, value in launch.seconds.items()}
    return {"instance_id": launch.instance_id, "seconds": seconds, "failure": launch.failure}


def _phases(launches: Sequence[Launch]) -> dict[str, dict[str, float]]:
    return {
        phase: {
            "launches": len(values),
            "least_s": round(min(values), 3),
            "mean_s": round(fmean(values), 3),
            **{f"p{share}_s": round(percentile(values, share / 100), 3) for share in (50, 90, 95)},
            "most_s": round(max(values), 3),
        }
        for phase, values in by_phase(launches).items()
    }


def _text(launches: Sequence[Launch]) -> str:
    rows = [
        (phase, *(f"{one[name]:.1f}" for name in ("least_s", "mean_s", "p50_s", "p90_s", "p95_s", "most_s")))
        for phase, one in _phases(launches).items()
    ]
    failed = sum(one.failure is not None for one in launches)
    head = ("SECONDS", "LEAST", "MEAN", "P50", "P90", "P95", "MOST")
    return f"{table([head, *rows])}\n{len(launches)} launches, {failed} of them failed"
