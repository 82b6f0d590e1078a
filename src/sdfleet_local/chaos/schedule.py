"""Which fault strikes when: decided by the seed, before anything starts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sdfleet.environment import SchedulerEnvironment

#: What a job takes on the runtime double, from and to.
JOB_SECONDS = (0.05, 2.0)
#: Of the time that the work takes at least: what lies behind it must see a quiet service finish.
_STORM_SHARE = 0.75
#: Of a real ComfyUI on two cores; faults come about as quickly as their effects pass.
_PER_RESTART_S = 30.0
#: No fault before the first tasks run.
_CALM_S = 1.0


class FaultKind(StrEnum):
    #: kill -9 of one scheduler.
    KILL = "kill"
    SIGTERM = "sigterm"
    #: A Spot interruption notice to one instance.
    NOTICE = "notice"
    #: The same to all instances at once.
    POOL_NOTICE = "pool-notice"
    #: A rebalance recommendation to one instance: it goes on until its replacement is there.
    REBALANCE = "rebalance"
    #: The group lets one instance go, through its lifecycle hook.
    SCALE_IN = "scale-in"
    #: An operator's word to one instance.
    DRAIN = "drain"
    #: The runtime's process is gone for a while: connections are cut, then refused.
    RUNTIME_DIES = "runtime-dies"
    #: Every instance's runtime at once.
    RUNTIMES_DIE = "runtimes-die"
    #: It takes connections and answers none, not even the health probe; then it is killed.
    RUNTIME_HANGS = "runtime-hangs"
    RUNTIME_ERRORS = "runtime-errors"
    RUNTIME_OOM = "runtime-oom"
    RUNTIME_GARBAGE = "runtime-garbage"
    RUNTIME_SLOW = "runtime-slow"
    #: A real ComfyUI's execution thread dies while HTTP goes on answering.
    RUNTIME_WEDGES = "runtime-wedges"
    #: One AWS service refuses every call of the schedulers for a while.
    AWS_OUTAGE = "aws-outage"
    #: A task's message once more in the fleet's queue.
    DUPLICATE = "duplicate"
    #: A message that is no task, in the fleet's queue or on the request topic.
    POISON = "poison"
    #: A client cancels a task.
    CANCEL = "cancel"


INSTANCE_FAULTS = (
    FaultKind.KILL,
    FaultKind.SIGTERM,
    FaultKind.NOTICE,
    FaultKind.POOL_NOTICE,
    FaultKind.REBALANCE,
    FaultKind.SCALE_IN,
    FaultKind.DRAIN,
)
#: Of the runtime double.
RUNTIME_FAULTS = tuple(
    kind for kind in FaultKind if kind.startswith("runtime") and kind is not FaultKind.RUNTIME_WEDGES
)
#: Of a real ComfyUI, which answers no errors on command.
COMFYUI_FAULTS = (
    FaultKind.RUNTIME_DIES,
    FaultKind.RUNTIME_HANGS,
    FaultKind.RUNTIME_WEDGES,
    FaultKind.RUNTIMES_DIE,
    FaultKind.RUNTIME_SLOW,
)


@dataclass(frozen=True)
class Fault:
    #: After the first submission.
    at_s: float
    kind: FaultKind
    #: Chooses among what is there when it strikes; 0 to 1.
    aim: float
    #: How long it lasts, where it lasts.
    lasts_s: float = 0.0
    #: How many jobs it meets, where it meets jobs.
    jobs: int = 0


@dataclass(frozen=True)
class ChaosOptions:
    tasks: int
    instances: int
    seed: int
    kills: int
    sigterms: int
    #: In all; `pool_notices` of them to all instances at once.
    notices: int
    pool_notices: int
    rebalances: int
    scale_ins: int
    drains: int
    runtime_faults: int
    aws_outages: int
    duplicates: int
    poisons: int
    cancels: int
    #: Of the schedulers' AWS calls.
    aws_error_share: float
    #: The faults are spread over this; None: most of the time that the tasks take at least.
    duration_s: float | None = None
    #: Starts a real ComfyUI on the port that is its last argument; None: the runtime double.
    comfyui_command: str | None = None
    longest_job_s: float = JOB_SECONDS[1]
    #: The schedulers' visibility timeout.
    visibility_s: int = SchedulerEnvironment.visibility_s
    #: The fleet starts at zero, and the fast scaler decides how many of `instances` there are.
    scales: bool = False
    #: After the last fault the service has this long to end everything.
    patience_s: float = 240.0

    @property
    def runtime_kinds(self) -> tuple[FaultKind, ...]:
        return RUNTIME_FAULTS if self.comfyui_command is None else COMFYUI_FAULTS

    @property
    def storm_s(self) -> float:
        if self.duration_s is not None:
            return self.duration_s
        if self.comfyui_command is not None:
            # What strikes waits until there is something to strike, and the tasks wait for what strikes.
            slow = self.kills + self.sigterms + self.notices + self.rebalances + self.scale_ins + self.drains
            return _CALM_S + _PER_RESTART_S * (slow + self.runtime_faults) / self.instances
        mean = (JOB_SECONDS[0] + self.longest_job_s) / 2
        return _CALM_S + _STORM_SHARE * self.tasks * mean / self.instances


def build_schedule(options: ChaosOptions) -> tuple[Fault, ...]:
    """The same options give the same schedule."""
    chance = random.Random(f"{options.seed} schedule")
    faults = [_fault(kind, chance, options) for kind in _kinds(options, chance)]
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _kinds(options: ChaosOptions, chance: random.Random) -> Iterator[FaultKind]:
    counts = {
        FaultKind.KILL: options.kills,
        FaultKind.SIGTERM: options.sigterms,
        FaultKind.NOTICE: options.notices - options.pool_notices,
        FaultKind.POOL_NOTICE: options.pool_notices,
        FaultKind.REBALANCE: options.rebalances,
        FaultKind.SCALE_IN: options.scale_ins,
        FaultKind.DRAIN: options.drains,
        FaultKind.AWS_OUTAGE: options.aws_outages,
        FaultKind.DUPLICATE: options.duplicates,
        FaultKind.POISON: options.poisons,
        FaultKind.CANCEL: options.cancels,
    }
    for kind, count in counts.items():
        yield from [kind] * count
    # Each kind once before any comes twice.
    deck: list[FaultKind] = []
    for _ in range(options.runtime_faults):
        deck = deck or chance.sample(options.runtime_kinds, len(options.runtime_kinds))
        yield deck.pop()


def _fault(kind: FaultKind, chance: random.Random, options: ChaosOptions) -> Fault:
    at_s = _CALM_S + chance.random() * max(0.0, options.storm_s - _CALM_S)
    longest = {
        FaultKind.RUNTIME_DIES: 10.0,
        FaultKind.RUNTIMES_DIE: 6.0,
        FaultKind.RUNTIME_HANGS: 20.0,
        FaultKind.RUNTIME_SLOW: 10.0,
        # Longer than a third of the visibility: heartbeats are missed.
        FaultKind.AWS_OUTAGE: 15.0,
    }.get(kind, 0.0)
    lasts_s = chance.uniform(0.1, 1.0) * min(longest, max(2.0, options.storm_s / 3))
    return Fault(at_s, kind, aim=chance.random(), lasts_s=lasts_s, jobs=chance.randint(1, 3))
