"""Changing to another checkpoint, from the server's memory, from the disk and from the bucket.

The scheduler's own parts (model store, adapter, metric) between a loopback S3 and a WebUI that reads its checkpoints.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sdfleet_bench.model_changes import FOLDER, MIB, OTHERS, Change, measured_names
from sdfleet_bench.stubs import BenchmarkFailed, stub_model_bucket, stub_model_webui
from sdfleet_local.child import base_environment
from sdfleet_scheduler.model_switches import ModelSource

#: What the server keeps: the measured one and one beside it.
_KEPT = 2


@dataclass(frozen=True)
class ModelsCase:
    size_mib: int
    rounds: int


@dataclass(frozen=True)
class ModelsResult:
    """Changes to a checkpoint that came from one source."""

    source: str
    size_mib: int
    changes: int
    #: As the scheduler's metric has it: the download, if there was one, and the server's loading.
    median_s: float
    longest_s: float
    #: Of a task, from its models to its picture.
    median_task_s: float
    mib_per_second: float


def measure(case: ModelsCase) -> list[ModelsResult]:
    """One result a source.

    Raises:
        BenchmarkFailed: not every checkpoint could be changed to.
    """
    sizes = {f"{FOLDER}/{name}": case.size_mib * MIB for name in (*OTHERS, *measured_names(case.rounds))}
    with tempfile.TemporaryDirectory(prefix="sdfleet-bench-") as directory:
        checkpoints = Path(directory) / FOLDER
        checkpoints.mkdir()
        with stub_model_bucket(sizes) as s3, stub_model_webui(checkpoints, _KEPT) as webui:
            changes = _changes(case, directory, s3.url, webui.url)
    return [_result(source, case.size_mib, [one for one in changes if one.source is source]) for source in ModelSource]


def _changes(case: ModelsCase, directory: str, s3_url: str, webui_url: str) -> list[Change]:
    arguments = (str(case.size_mib), str(case.rounds), directory, s3_url, webui_url)
    process = subprocess.run(
        [sys.executable, "-m", "sdfleet_bench.model_changes", *arguments],
        env=base_environment(),
        stdout=subprocess.PIPE,
        check=False,
    )
    if process.returncode != 0:
        raise BenchmarkFailed("Not every checkpoint could be changed to; what went wrong is above.")
    return [Change(**{**change, "source": ModelSource(change["source"])}) for change in json.loads(process.stdout)]


def _result(source: ModelSource, size_mib: int, changes: list[Change]) -> ModelsResult:
    median_s = statistics.median(change.seconds for change in changes)
    return ModelsResult(
        source=source.value,
        size_mib=size_mib,
        changes=len(changes),
        median_s=median_s,
        longest_s=max(change.seconds for change in changes),
        median_task_s=statistics.median(change.task_seconds for change in changes),
        mib_per_second=size_mib / median_s,
    )
