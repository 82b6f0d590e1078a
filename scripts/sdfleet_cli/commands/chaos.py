"""`sdfleet chaos`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import click

from sdfleet.environment import SchedulerEnvironment
from sdfleet_cli.console import HELP_NAMES, ExitStatus, plain_errors
from sdfleet_local.chaos.schedule import JOB_SECONDS, ChaosOptions, build_schedule

_COUNT = click.IntRange(0, 10_000)


@click.command(context_settings=HELP_NAMES)
@click.option("--tasks", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Tasks to submit.")
@click.option("--instances", type=click.IntRange(1, 32), default=3, show_default=True, help="Schedulers.")
@click.option("--scaling", "scales", is_flag=True, help="Start at zero, and let the fast scaler decide, up to these.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides the faults and their times.")
@click.option("--duration", "duration_s", type=click.FloatRange(1.0), metavar="S", help="Spread the faults over S s.")
@click.option("--kills", type=_COUNT, help="kill -9 of a scheduler.  [default: one for 20 tasks, at most 40]")
@click.option("--sigterms", type=_COUNT, help="SIGTERM to a scheduler.  [default: a quarter of the kills]")
@click.option("--notices", type=_COUNT, help="Spot notices.  [default: as many as kills]")
@click.option("--pool-notices", type=_COUNT, help="Of these, to all instances at once.  [default: at most 2]")
@click.option("--rebalances", type=_COUNT, help="Rebalance recommendations.  [default: a quarter of the kills]")
@click.option("--scale-ins", type=_COUNT, help="Instances that the group lets go.  [default: a quarter of the kills]")
@click.option("--drains", type=_COUNT, help="Instances that an operator drains.  [default: a quarter of the kills]")
@click.option("--runtime-faults", type=_COUNT, help="Of all kinds.  [default: as many as kills]")
@click.option("--aws-outages", type=_COUNT, help="Of one service each.  [default: a fifth of the kills]")
@click.option("--duplicates", type=_COUNT, help="Messages sent twice.  [default: a twentieth of the tasks]")
@click.option("--poisons", type=_COUNT, help="Messages that are no tasks.  [default: a twentieth of the tasks]")
@click.option("--cancels", type=_COUNT, help="Tasks that are cancelled.  [default: a fiftieth of the tasks]")
@click.option(
    "--aws-error-share",
    type=click.FloatRange(0.0, 1.0),
    default=0.05,
    show_default=True,
    help="Share of the schedulers' AWS calls that fail, are delayed or are answered twice.",
)
@click.option(
    "--longest-job",
    "longest_job_s",
    type=click.FloatRange(JOB_SECONDS[0]),
    default=JOB_SECONDS[1],
    show_default=True,
    metavar="S",
    help="Jobs take up to this on the runtime.",
)
@click.option(
    "--visibility",
    "visibility_s",
    type=click.IntRange(6, 3600),
    default=SchedulerEnvironment.visibility_s,
    show_default=True,
    metavar="S",
    help="The schedulers' visibility timeout.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(1.0),
    default=240.0,
    show_default=True,
    metavar="S",
    help="Wait this long after the storm.",
)
@click.option(
    "--comfyui-command",
    metavar="CMD",
    help="Storm real ComfyUI servers instead of the double: CMD PORT starts one, in the foreground, for each instance.",
)
@click.option(
    "--keep-logs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy the logs of all processes there; nothing is kept otherwise.",
)
@click.option("--json", "is_json", is_flag=True, help="Print the report as JSON.")
@click.option("--dry-run", is_flag=True, help="Print the schedule of faults, and start nothing.")
def chaos(
    tasks: int,
    instances: int,
    scales: bool,
    seed: int,
    duration_s: float | None,
    kills: int | None,
    sigterms: int | None,
    notices: int | None,
    pool_notices: int | None,
    rebalances: int | None,
    scale_ins: int | None,
    drains: int | None,
    runtime_faults: int | None,
    aws_outages: int | None,
    duplicates: int | None,
    poisons: int | None,
    cancels: int | None,
    aws_error_share: float,
    longest_job_s: float,
    visibility_s: int,
    patience_s: float,
    comfyui_command: str | None,
    keep_logs: Path | None,
    is_json: bool,
    dry_run: bool,
) -> None:
    """Put a deployment of its own on this machine through a storm of faults and account for every task.

    Ends with status 1 unless nothing was lost, nothing visibly duplicated and nothing unexpected.
    """
    kills = min(40, tasks // 20) if kills is None else kills
    notices = kills if notices is None else notices
    options = ChaosOptions(
        tasks=tasks,
        instances=instances,
        scales=scales,
        seed=seed,
        kills=kills,
        sigterms=kills // 4 if sigterms is None else sigterms,
        notices=notices,
        pool_notices=min(2, notices // 4) if pool_notices is None else min(notices, pool_notices),
        rebalances=kills // 4 if rebalances is None else rebalances,
        scale_ins=kills // 4 if scale_ins is None else scale_ins,
        drains=kills // 4 if drains is None else drains,
        runtime_faults=kills if runtime_faults is None else runtime_faults,
        aws_outages=kills // 5 if aws_outages is None else aws_outages,
        duplicates=tasks // 20 if duplicates is None else duplicates,
        poisons=tasks // 20 if poisons is None else poisons,
        cancels=tasks // 50 if cancels is None else cancels,
        aws_error_share=aws_error_share,
        duration_s=duration_s,
        longest_job_s=longest_job_s,
        visibility_s=visibility_s,
        patience_s=patience_s,
        comfyui_command=comfyui_command,
    )
    if dry_run:
        for fault in build_schedule(options):
            click.echo(f"{fault.at_s:8.2f} s  {fault.kind}")
        return
    # The SDK takes longer to import than most commands take to run.
    from sdfleet_local.chaos.storm import run_storm

    # Ended from outside, it has to clean up as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with plain_errors():
        report = run_storm(options, lambda text: click.echo(f"{text} ...", err=True), keep_logs=keep_logs)
    click.echo(json.dumps(report.to_json(), indent=2) if is_json else report.to_text())
    if not report.is_passed:
        sys.exit(ExitStatus.FAILED)
