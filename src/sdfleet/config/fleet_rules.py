"""What must hold between the keys of a fleet. Works on values as they stand in the file, right or wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sdfleet.config.problem import Problem
from sdfleet.domain.content import Path

_IOPS_TYPES = ("gp3", "io1", "io2")
#: MiB a second for each operation a second (EBS User Guide, gp3).
_THROUGHPUT_PER_IOPS = 0.25
_INCLUDED_IOPS = 3000
#: Families with an Arm processor (EC2 User Guide, naming conventions: g after the generation, Graviton; gb: Grace).
_ARM_FAMILY = re.compile(r"a1|[a-z]+\d+g[a-z]*|[a-z0-9]+-gb\d+.*")


def fleet_problems(path: Path, fleet: Mapping[str, Any]) -> list[Problem]:
    problems = _size_problems(path, fleet)
    if isinstance(scaling := fleet.get("scaling"), Mapping):
        problems += _step_problems((*path, "scaling", "steps"), scaling.get("steps"))
    if isinstance(volume := fleet.get("volume"), Mapping):
        problems += _volume_problems((*path, "volume"), volume)
    for key in ("instanceTypes", "zones"):
        problems += _repeated((*path, key), fleet.get(key))
    if fleet.get("amiId") is None:
        problems += _processor_problems((*path, "instanceTypes"), fleet.get("instanceTypes"))
    return problems


def _size_problems(path: Path, fleet: Mapping[str, Any]) -> list[Problem]:
    largest = fleet.get("maxSize")
    return [
        Problem((*path, key), f"is {value}, above maxSize ({largest}); lower it, or raise maxSize")
        for key in ("minSize", "onDemandBase")
        if isinstance(value := fleet.get(key), int) and isinstance(largest, int) and value > largest
    ]


def _step_problems(path: Path, steps: Any) -> list[Problem]:
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        return []
    bounds = [
        bound for step in steps if isinstance(step, Mapping) and isinstance(bound := step.get("fromMessages"), int)
    ]
    if not bounds or len(bounds) < len(steps):
        return []
    if bounds[0] != 0:
        return [Problem((*path, 0, "fromMessages"), f"is {bounds[0]}; the first step must begin at 0")]
    problems = [
        Problem((*path, index, "fromMessages"), f"is {later}; each step must begin above the one before it ({earlier})")
        for index, (earlier, later) in enumerate(pairwise(bounds), start=1)
        if later <= earlier
    ]
    additions = [step.get("addInstances") for step in steps]
    if isinstance(additions[0], int) and additions[0] > 0:
        problems.append(Problem((*path, 0, "addInstances"), f"is {additions[0]}; no message must add no instance"))
    elif all(addition == 0 for addition in additions):
        problems.append(Problem(path, "adds no instance in any step; give one of them addInstances above 0"))
    return problems


def _volume_problems(path: Path, volume: Mapping[str, Any]) -> list[Problem]:
    kind, iops, throughput = volume.get("type", "gp3"), volume.get("iops"), volume.get("throughput")
    problems = []
    if iops is not None and kind not in _IOPS_TYPES:
        problems.append(Problem((*path, "iops"), f"is for {', '.join(_IOPS_TYPES)} only; remove it, or use gp3"))
    if iops is None and kind in ("io1", "io2"):
        problems.append(Problem((*path, "iops"), f"is missing; a volume of type {kind} needs it"))
    if isinstance(iops, int) and kind == "gp3" and iops < _INCLUDED_IOPS:
        problems.append(Problem((*path, "iops"), f"is {iops}; gp3 has at least {_INCLUDED_IOPS}, at no extra price"))
    if throughput is not None and kind != "gp3":
        problems.append(Problem((*path, "throughput"), "is for gp3 only; set it to null, or use gp3"))
    elif isinstance(throughput, int) and throughput > (most := _THROUGHPUT_PER_IOPS * max(iops or 0, _INCLUDED_IOPS)):
        problems.append(
            Problem((*path, "throughput"), f"is {throughput}; with these iops gp3 gives at most {most:g}, raise iops")
        )
    return problems


def _processor_problems(path: Path, types: Any) -> list[Problem]:
    if not isinstance(types, Sequence) or isinstance(types, str):
        return []
    return [
        Problem((*path, index), f"is {one}, an Arm machine; AWS's stock GPU AMI is for x86-64, use others or set amiId")
        for index, one in enumerate(types)
        if isinstance(one, str) and _ARM_FAMILY.fullmatch(one.partition(".")[0])
    ]


def _repeated(path: Path, values: Any) -> list[Problem]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        return []
    return [
        Problem((*path, index), f"is {value}, which stands in the list already; remove it")
        for index, value in enumerate(values)
        if value in values[:index]
    ]
