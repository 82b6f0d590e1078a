"""How long a task that lost its instance waited until another one ran it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from sdfleet_local.chaos.faults import Strike
from sdfleet_local.chaos.runtime_double import Job
from sdfleet_local.chaos.schedule import FaultKind


@dataclass(frozen=True)
class Redelivery:
    kind: FaultKind
    count: int
    median_s: float
    longest_s: float


def redeliveries(strikes: Sequence[Strike], jobs: Sequence[Job]) -> tuple[Redelivery, ...]:
    """By kind of strike: from the strike to the next start of the task that was running there.

    A task that the leaving instance finished counts for nothing: it was not taken away. An instance that was asked to
    leave and then killed counts as killed.
    """
    waits: defaultdict[FaultKind, list[float]] = defaultdict(list)
    killed = {strike.instance_id for strike in strikes if strike.kind is FaultKind.KILL}
    for strike in strikes:
        if strike.kind is not FaultKind.KILL and strike.instance_id in killed:
            continue
        for job in jobs:
            is_there = job.instance_id == strike.instance_id and job.started_at <= strike.at
            if not is_there or (job.ended_at or strike.at) < strike.at or job.outcome == "answered":
                continue
            later = [one.started_at for one in jobs if one.task_id == job.task_id and one.started_at > strike.at]
            if later:
                waits[strike.kind].append(min(later) - strike.at)
    return tuple(
        Redelivery(kind, len(seconds), median(seconds), max(seconds)) for kind, seconds in sorted(waits.items())
    )


def runs_at_once(jobs: Sequence[Job], *, tolerance_s: float = 0.5) -> int:
    """How often a task began on one runtime while it was still at work on another, by more than `tolerance_s`."""
    by_task: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_task[job.task_id].append(job)
    return sum(
        (former.ended_at or float("inf")) - later.started_at > tolerance_s
        for tries in by_task.values()
        for former, later in pairwise(tries)
    )
