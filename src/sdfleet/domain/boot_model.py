"""From a queued task to its first picture on a fleet at zero, on paper: which phase bounds it, and what each takes.

Every figure has its source beside it; `grade` says how far it can be believed. Phases run in parallel as the units of
the boot do (`cdk/sdfleet_cdk/boot_files`). Spot capacity that is not there, throttling and broken machines are no part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

#: SDXL 1.0's checkpoint; Stable Diffusion 1.5's is 4.27.
SDXL_GB = 6.94
#: Draws; percentiles move by less than half a second beyond that.
DRAWS = 4096
_NORMAL = NormalDist()
_P95 = _NORMAL.inv_cdf(0.95)


class Grade(StrEnum):
    READ = "read"
    COMPUTED = "computed"


@dataclass(frozen=True)
class Term:
    """One phase. Times are log-normal: never below nothing, late more often than early."""

    name: str
    median_s: float
    p95_s: float
    source: str
    grade: Grade
    #: Phases that it cannot begin without.
    after: tuple[str, ...] = ()

    def drawn(self, share: float) -> float:
        """Seconds at this quantile."""
        if self.median_s <= 0:
            return 0.0
        spread = math.log(self.p95_s / self.median_s) / _P95
        return self.median_s * math.exp(spread * _NORMAL.inv_cdf(share))


@dataclass(frozen=True)
class Machine:
    name: str
    #: Seconds of a picture over those on an A10G.
    pace: float
    network_gbps: float
    source: str


MACHINES = {
    "g5.xlarge": Machine("g5.xlarge", 1.0, 2.5, "aws-facts: baseline 2.5 Gbps; EC2 instance types, G5: up to 10 Gbps"),
    "g6.xlarge": Machine(
        "g6.xlarge", 1.35, 2.5, "EC2 instance types, G6: as G5; L4 against A10G by memory bandwidth, 300 to 600 GB/s,"
        " and by FP16, 121 to 125 TFLOPS: between 1.0 and 2.0",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Assumptions:
    """What differs between deployments."""

    model_gb: float = SDXL_GB
    #: Of a picture on an A10G, as the task asks for it: SDXL with 20 steps. With 50 it is twice that.
    picture_s: float = 6.0
    #: Of the runtime's image, until it answers: CUDA's libraries, torch, the server's Python.
    read_gib: float = 3.5
    #: At which a volume comes from its snapshot (`fleet.volume.initializationRate`); None: as blocks are read.
    initialization_mib_s: float | None = 300.0
    #: The container images come with the AMI; False: they are pulled.
    has_ami: bool = True
    #: What the runtime reads is read ahead from the machine's start (`sdfleet-read-ahead`).
    reads_ahead: bool = True


def terms(machine: Machine, given: Assumptions) -> tuple[Term, ...]:
    """The phases in an order in which none comes before what it waits for."""
    models = _models(machine, given.model_gb)
    read = _read(given)
    pull_s = 0.0 if given.has_ami else 300.0
    return (
        Term(
            "decide", 1.0, 5.0, "fast scaler: woken by the first task; else it looks every 5 to 10 s (aws-facts,"
            " Scaling speed: 0 to 10 s)", Grade.COMPUTED,
        ),
        Term(
            "launch", 4.8, 8.0, "brevdev/ec2-coldboot-research: RunInstances 4.8 s of 25.8 (m7i.large); Auto Scaling's"
            " own share is in Buildkite's 50 to 75 s to a working host (elastic-ci-stack-for-aws#554)", Grade.READ,
            ("decide",),
        ),
        Term(
            "instance", 15.0, 21.0, "seed 002: 17 to 18 s; brevdev: pending to running 17.8 s, whatever the type;"
            " anything-on-xc: g5.2xlarge running in 9 to 18 s", Grade.READ, ("launch",),
        ),
        Term(
            "system", 9.0, 14.0, "brevdev: 3.2 s from running to SSH on Amazon Linux; the NVIDIA driver, Docker and"
            " cloud-init's first stage on top", Grade.COMPUTED, ("instance",),
        ),
        Term(
            "disks", 0.7, 2.0, "docs/operations/boot.md, Measured here: mkfs.xfs writes its log, 126 MiB; an instance"
            " store takes 349 MB/s (m5d.4xlarge, gist ouranos/bcad6055): 0.4 s; at worst a fifth of that speed;"
            " udev and mount on top", Grade.COMPUTED, ("system",),
        ),
        Term(
            "scheduler_image", 0.05 * pull_s, 0.1 * pull_s, "0: in the AMI; else a twentieth of the runtime's",
            Grade.COMPUTED, ("disks",),
        ),
        Term(
            "scheduler", 3.5, 7.0, "docs/operations/boot.md, Measured here: 2.0 s of processor time for its imports;"
            " the container, and a new volume, on top", Grade.COMPUTED, ("scheduler_image",),
        ),
        Term("models", *models, Grade.COMPUTED, ("scheduler",)),
        Term(
            "runtime_image", pull_s, pull_s * 1.5, "0: in the AMI; else aws-samples/comfyui-on-eks#9: about 5 minutes",
            Grade.READ, ("disks",),
        ),
        Term("read", *read, ("system",) if given.reads_ahead else ("runtime_image",)),
        Term("runtime", 12.5, 17.0, "aws-facts: ComfyUI starts in 10 to 15 s, torch and CUDA about 7 s of them",
             Grade.READ, ("runtime_image",) if given.reads_ahead else ("read",)),
        Term(
            "load", 1.5 + given.model_gb * 0.55, 3.0 + given.model_gb * 1.25, "outerport.com, SD 3.5: 16.5 GB from disk"
            " to GPU in 5.4 to 7 s (0.33 to 0.42 s a GB); tensorfuse-examples#1: 16 GB in about 20 s (1.25 s a GB);"
            " first kernels 1.5 to 3 s", Grade.COMPUTED, ("models", "runtime", "read"),
        ),
        Term("receive", 0.1, 0.5, "docs/benchmarks.md: the long poll answers in 10 ms; inputs are fetched meanwhile",
             Grade.COMPUTED, ("load",)),
        Term(
            "picture", given.picture_s * machine.pace, given.picture_s * machine.pace * 1.6,
            "baseten.co: SDXL, 20 steps, in 4 to 6 s on an A10G; seed 001: 1.5 s for Stable Diffusion 1.5 on an A10G;"
            f" {machine.source}", Grade.COMPUTED, ("receive",),
        ),
    )  # fmt: skip


def _models(machine: Machine, size_gb: float) -> tuple[float, float, str]:
    """From burst, bounded by the disk, to baseline; in half of the cases the way between."""
    baseline_s = size_gb * 8 / machine.network_gbps
    fast_s = baseline_s / 2
    source = (
        f"{size_gb} GB at {machine.network_gbps} Gbps baseline: {baseline_s:.0f} s; EC2 User Guide, instance network"
        " bandwidth: the most burst credits at launch, best effort: half of it. aws-facts: SDXL in 11 to 24 s"
    )
    return (baseline_s + fast_s) / 2, baseline_s * 1.15, source


def _read(given: Assumptions) -> tuple[float, float, str, Grade]:
    if given.initialization_mib_s is None:
        source = (
            f"{given.read_gib} GiB at 130 to 140 MB/s, what a new gp3 volume gives (re:Post, Speeding up large EBS"
            " volume initialization); bottlerocket-images-cache#13: over 10 minutes for 15 GB"
        )
        return given.read_gib * 1073.7 / 135, given.read_gib * 1073.7 / 25, source, Grade.COMPUTED
    seconds = given.read_gib * 1024 / given.initialization_mib_s
    source = (
        f"{given.read_gib} GiB at {given.initialization_mib_s:.0f} MiB/s, volume initialization rate (EBS User Guide);"
        " at worst half of it, for what is read is not what is initialized next"
    )
    return seconds, seconds * 2, source, Grade.COMPUTED


@dataclass(frozen=True)
class Modelled:
    machine: str
    terms: tuple[Term, ...]
    p50_s: float
    p95_s: float
    #: Seconds by which each phase holds back the picture, on average; they add up to the mean.
    held_back_s: Mapping[str, float]

    @property
    def mean_s(self) -> float:
        return sum(self.held_back_s.values())

    def largest(self, count: int = 3) -> tuple[str, ...]:
        return tuple(sorted(self.held_back_s, key=lambda name: -self.held_back_s[name])[:count])


def modelled(machine: Machine, given: Assumptions = Assumptions(), *, draws: int = DRAWS) -> Modelled:
    """Evenly spread draws, no chance: the same figures each time."""
    phases = terms(machine, given)
    totals = []
    held_back = dict.fromkeys((phase.name for phase in phases), 0.0)
    for shares in _shares(len(phases), draws):
        took = {phase.name: phase.drawn(share) for phase, share in zip(phases, shares, strict=True)}
        ends, waited_for = _run(phases, took)
        last = phases[-1].name
        totals.append(ends[last])
        name: str | None = last
        while name is not None:
            held_back[name] += took[name] / draws
            name = waited_for[name]
    totals.sort()
    return Modelled(machine.name, phases, totals[draws // 2], totals[math.ceil(draws * 0.95) - 1], held_back)


def _run(phases: Sequence[Term], took: Mapping[str, float]) -> tuple[dict[str, float], dict[str, str | None]]:
    """When each phase ends, and which one it waited for last."""
    ends: dict[str, float] = {}
    waited_for: dict[str, str | None] = {}
    for phase in phases:
        last = max(phase.after, key=ends.__getitem__, default=None)
        waited_for[phase.name] = last
        ends[phase.name] = (0.0 if last is None else ends[last]) + took[phase.name]
    return ends, waited_for


def _shares(dimensions: int, draws: int) -> Iterator[list[float]]:
    """Points that fill the cube evenly: Kronecker's sequence on the generalized golden ratio (M. Roberts, R_d)."""
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = [ratio ** -(number + 1) % 1 for number in range(dimensions)]
    for draw in range(1, draws + 1):
        yield [min(max((0.5 + draw * step) % 1, 1e-6), 1 - 1e-6) for step in steps]
