"""One real scheduler process against a real ComfyUI, beside the same prompts put straight into ComfyUI's own queue.

When a prompt began and ended is ComfyUI's own word, from its history.
"""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from sdfleet.domain.task import JsonObject, RuntimeType, TaskType
from sdfleet_bench import workload
from sdfleet_bench.scheduler import QueueUsage, Timeline, running_scheduler, through_the_queue, timeline
from sdfleet_bench.stubs import BenchmarkFailed, stub_aws

#: Prompts of a CPU test take seconds at most; one that takes longer than this is stuck.
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class ComfyUiCase:
    url: str
    prompts: int
    work_seconds: float
    aws_latency_ms: dict[str, float]


@dataclass(frozen=True)
class ComfyUiResult:
    work_seconds: float
    has_aws_latency: bool
    prompts: int
    scheduler: Timeline
    #: The same number of prompts put into the server's queue at once.
    own_queue: Timeline
    #: Of the own queue's prompts a second.
    throughput_share: float
    cpu_ms_per_task: float
    peak_rss_mib: float


def measure(case: ComfyUiCase) -> ComfyUiResult:
    """Raises:
    BenchmarkFailed: not every prompt succeeded.
    """
    with httpx.Client(base_url=case.url, timeout=_PATIENCE_S, trust_env=False) as server:
        # The first prompt of a server loads what the others find loaded.
        _run_in_own_queue(server, _contents(1, case.work_seconds))
        direct = _run_in_own_queue(server, _contents(case.prompts, case.work_seconds))
        queued, usage = _run_through_the_scheduler(server, case)
    own, ours = timeline(direct, case.work_seconds), timeline(queued, case.work_seconds)
    return ComfyUiResult(
        work_seconds=case.work_seconds,
        has_aws_latency=bool(case.aws_latency_ms),
        prompts=case.prompts,
        scheduler=ours,
        own_queue=own,
        throughput_share=_elapsed(direct) / _elapsed(queued),
        cpu_ms_per_task=usage.cpu_ms_per_task,
        peak_rss_mib=usage.peak_rss_mib,
    )


def _contents(count: int, work_seconds: float) -> list[JsonObject]:
    # The server answers a prompt that it knows from its cache; a colour of our own each is none that it knows.
    first = secrets.randbelow(0xFFFFFF - count)
    return [workload.comfyui_content(first + number, work_seconds=work_seconds) for number in range(count)]


def _run_in_own_queue(server: httpx.Client, contents: list[JsonObject]) -> list[tuple[float, float]]:
    ids = [str(uuid.uuid4()) for _ in contents]
    for prompt_id, content in zip(ids, contents, strict=True):
        server.post("/prompt", json={"prompt": content, "prompt_id": prompt_id}).raise_for_status()
    end = time.monotonic() + _PATIENCE_S
    while not server.get(f"/history/{ids[-1]}").json() and time.monotonic() < end:
        time.sleep(0.25)
    return _taken_out(server, set(ids))


def _run_through_the_scheduler(server: httpx.Client, case: ComfyUiCase) -> tuple[list[tuple[float, float]], QueueUsage]:
    filling = workload.filling(_contents(case.prompts, case.work_seconds), TaskType.PIPELINE)
    with stub_aws(case.aws_latency_ms) as aws, running_scheduler(aws, RuntimeType.COMFYUI, case.url) as pid:
        before = set(server.get("/history").json())
        usage = through_the_queue(aws, pid, filling)
        ids = set(server.get("/history").json()) - before
    if len(ids) != case.prompts:
        raise BenchmarkFailed(f"ComfyUI ran {len(ids)} prompts for {case.prompts} tasks; is somebody else using it?")
    return _taken_out(server, ids), usage


def _taken_out(server: httpx.Client, ids: set[str]) -> list[tuple[float, float]]:
    """Begin and end of these prompts, in their order; they leave the server's history."""
    history = server.get("/history").json()
    missing = ids - set(history)
    if missing:
        raise BenchmarkFailed(f"{len(missing)} of {len(ids)} prompts are not in ComfyUI's history.")
    runs = sorted(_run_of(history[prompt_id]) for prompt_id in ids)
    server.post("/history", json={"delete": sorted(ids)}).raise_for_status()
    return runs


def _run_of(entry: JsonObject) -> tuple[float, float]:
    stamps: dict[str, Any] = {event: fields["timestamp"] / 1000 for event, fields in entry["status"]["messages"]}
    try:
        return stamps["execution_start"], stamps["execution_success"]
    except KeyError:
        raise BenchmarkFailed(f"A prompt did not succeed; its events: {sorted(stamps)}") from None


def _elapsed(runs: list[tuple[float, float]]) -> float:
    return runs[-1][1] - runs[0][0]
