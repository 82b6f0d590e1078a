"""`sdfleet simulate validate`: the simulation beside a local deployment on the same arrivals."""

from __future__ import annotations

import random
import statistics
import sys
from array import array
from collections.abc import Sequence
from dataclasses import replace

import click

from sdfleet.domain.scaling import Limits
from sdfleet_cli.console import HELP_NAMES, ExitStatus, plain_errors, table
from sdfleet_cli.local_trial import Played, Trial, trial
from sdfleet_sim.arrivals import Trace
from sdfleet_sim.assumptions import Assumptions, Spread
from sdfleet_sim.experiment import Experiment
from sdfleet_sim.outcome import rank
from sdfleet_sim.scenario import FleetPlan, Scenario

#: What the issue allows: the median of the runs within either.
_SHARE, _SECONDS = 0.15, 0.5
_INSTANCES, _MOST = 2, 5
_TASK_S = 1.0
#: Seconds that stand for a minute of CloudWatch.
_MINUTE_S = 6.0


@click.command(context_settings=HELP_NAMES)
@click.option("--policy", type=click.Choice(["fixed", "step", "fast"]), default="fixed", show_default=True)
@click.option("--runs", type=click.IntRange(min=1, max=9), default=3, show_default=True, help="The middle one counts.")
@click.option("--tasks", type=click.IntRange(min=10, max=500), default=60, show_default=True)
def validate(policy: str, runs: int, tasks: int) -> None:
    """Play a small scene for real in local mode, simulate the same arrivals, and compare how long tasks waited.

    Takes minutes, and a machine that has nothing else to do. What the simulation is told is measured apart: how long an
    instance needs for a task and, from zero, for its start.
    """
    rows: list[tuple[str, ...]] = [("RUN", "P50 PLAYED, S", "SIMULATED", "P95 PLAYED, S", "SIMULATED")]
    pairs = []
    with plain_errors():
        for number in range(1, runs + 1):
            played, simulated = _run(policy, tasks, number)
            pairs.append((played, simulated))
            rows.append(_row(str(number), played, simulated))
    played, simulated = (tuple(statistics.median(pair[side][at] for pair in pairs) for at in (0, 1)) for side in (0, 1))
    rows.append(_row("median", played, simulated))
    click.echo(table(rows))
    is_close = all(abs(a - b) <= max(_SHARE * a, _SECONDS) for a, b in zip(played, simulated, strict=True))
    click.echo(f"\nWithin 15 % or 0.5 s: {'yes' if is_close else 'no'}.")
    if not is_close:
        sys.exit(ExitStatus.FAILED)


def _run(policy: str, tasks: int, seed: int) -> tuple[Sequence[float], Sequence[float]]:
    """50 and 95 % of the waits, played and simulated."""
    draw = random.Random(seed)
    if policy == "fixed":
        with trial("--instances", str(_INSTANCES)) as deployment:
            pace_s = _pace(deployment)
            # Three quarters of what two instances can do: queues come and go.
            moments, at = [], 0.0
            for _ in range(tasks):
                moments.append(at)
                at += draw.expovariate(0.75 * _INSTANCES / pace_s)
            played = deployment.play(moments, _TASK_S)
    else:
        with trial("--instances", str(_INSTANCES)) as deployment:
            pace_s = _pace(deployment)
        flags = ("--no-fast-scaler",) if policy == "step" else ()
        with trial("--instances", "0", "--scaling-minute", str(_MINUTE_S), *flags) as deployment:
            played = deployment.play([0.0] * tasks, _TASK_S)
    return _percentiles(played.waits), _percentiles(_simulated(policy, played, pace_s))


def _pace(deployment: Trial) -> float:
    """Seconds that an instance needs from one task to the next while there is always another."""
    count = 10 * _INSTANCES
    found = deployment.play([0.0] * count, _TASK_S)
    begins = sorted(at + wait for at, wait in zip(found.accepted, found.waits, strict=True))
    return (begins[-1] - begins[_INSTANCES]) / (count - _INSTANCES - 1) * _INSTANCES


def _simulated(policy: str, played: Played, pace_s: float) -> list[float]:
    assumed = Assumptions.read()
    boot_s = statistics.fmean(played.boots) if played.boots else 1.0
    nothing = Spread(1e-6, 1e-6)
    scale = _MINUTE_S / assumed.cloudwatch.period_s
    group = assumed.auto_scaling
    told = replace(
        assumed,
        tasks={"test_pattern": replace(assumed.tasks["test_pattern"], seconds=pace_s, spread=1.0)},
        boot=replace(assumed.boot, launch_call=nothing, pending=nothing, system=nothing, runtime=nothing, read_gib=0.0,
                     model=Spread(boot_s, boot_s), first_task=nothing, failure_share=0.0),
        scheduler=replace(assumed.scheduler, between_tasks_s=0.0),
        cloudwatch=replace(assumed.cloudwatch, period_s=_MINUTE_S, publish_s=0.0, evaluation_s=0.0),
        auto_scaling=replace(group, warm_up_s=group.warm_up_s * scale, idle_after_s=group.idle_after_s * scale),
    )  # fmt: skip
    is_fixed = policy == "fixed"
    phase = None if played.first_alarm_s is None else played.first_alarm_s % _MINUTE_S
    scenario = Scenario(
        runtime="test_pattern",
        market="calm",
        fleet=FleetPlan(limits=Limits(0, _MOST), initial=_INSTANCES if is_fixed else 0),
        alarm_phase_s=phase,
    )
    trace = Trace("trial", array("d", played.accepted), played.accepted[-1])
    experiment = Experiment(scenario, trace, told)
    return experiment.waits_under(policy)


def _percentiles(waits: Sequence[float]) -> Sequence[float]:
    ordered = sorted(waits)
    return [ordered[rank(len(ordered), percent)] for percent in (50, 95)]


def _row(name: str, played: Sequence[float], simulated: Sequence[float]) -> tuple[str, ...]:
    return name, f"{played[0]:.2f}", f"{simulated[0]:.2f}", f"{played[1]:.2f}", f"{simulated[1]:.2f}"
