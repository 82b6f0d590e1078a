"""How long things take, drawn once per task or instance so that every policy meets the same ones."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass

from sdfleet_sim.assumptions import Assumptions, BootAssumptions, Spread

#: Task sizes repeat after so many; drawing a million takes longer than simulating them.
SIZES = 1 << 16


def draw_from(spread: Spread, draw: random.Random) -> float:
    if spread.p95 <= spread.median:
        return spread.median
    return spread.median * draw.lognormvariate(0.0, spread.sigma)


def task_sizes(assumed: Assumptions, runtime: str, seed: int) -> array[float]:
    """Seconds on the reference machine, of mean as assumed: `SIZES` of them, to be used in turn."""
    task = assumed.tasks[runtime]
    if task.spread <= 1.0:
        return array("d", [task.seconds]) * SIZES
    draw = random.Random(f"{seed}/tasks")
    sigma = Spread(1.0, task.spread).sigma
    return array("d", (task.seconds * draw.lognormvariate(0.0, sigma) for _ in range(SIZES)))


@dataclass(frozen=True)
class Boot:
    """Of one instance, in seconds from the order."""

    #: EC2 bills from here on.
    running_s: float
    #: It takes its first task here; of a failed boot: when it is given up.
    ready_s: float
    is_failed: bool


def boot(assumed: BootAssumptions, draw: random.Random, *, volume_mib_s: float) -> Boot:
    """`volume_mib_s`: how fast the root volume can be read, which is no faster than it is filled."""
    running = draw_from(assumed.launch_call, draw) + draw_from(assumed.pending, draw)
    system = draw_from(assumed.system, draw)
    read_s = assumed.read_gib * 1024 / volume_mib_s
    loading = max(draw_from(assumed.runtime, draw), draw_from(assumed.model, draw), read_s)
    first = draw_from(assumed.first_task, draw)
    if draw.random() < assumed.failure_share:
        return Boot(running, running + assumed.failure_s, is_failed=True)
    return Boot(running, running + system + loading + first, is_failed=False)
