"""One real scheduler process against a stub WebUI and stub AWS, beside a bare loop on the same WebUI.

The loop is the least that any client can do: the same requests one after another over one connection, answers thrown
away. What the scheduler adds to it is what receiving, records, pictures and notices cost the GPU.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import httpx

from sdfleet.domain.task import JsonObject, RuntimeType, TaskType
from sdfleet.environment import SchedulerEnvironment
from sdfleet_bench import workload
from sdfleet_bench.stubs import BenchmarkFailed, Stub, service, stub_aws, stub_webui
from sdfleet_bench.usage import usage_of
from sdfleet_local.loopback import free_port


@dataclass(frozen=True)
class SchedulerCase:
    image_seconds: float
    tasks: int
    #: Milliseconds by service; empty: AWS answers at once.
    aws_latency_ms: Mapping[str, float]


@dataclass(frozen=True)
class Timeline:
    """When the GPU worked, from its first job to its last."""

    idle_share: float
    #: Between the end of a job and the begin of the next.
    median_gap_ms: float
    longest_gap_ms: float
    #: Beyond the jobs' own time, for each.
    overhead_ms: float


@dataclass(frozen=True)
class SchedulerResult:
    image_seconds: float
    has_aws_latency: bool
    tasks: int
    #: From the first message that could be received to the last that was deleted.
    tasks_per_second: float
    scheduler: Timeline
    bare_loop: Timeline
    cpu_ms_per_task: float
    peak_rss_mib: float
    #: AWS calls for each task.
    calls_per_task: float


def measure(case: SchedulerCase) -> SchedulerResult:
    """Raises:
    BenchmarkFailed: not every task succeeded.
    """
    contents = [workload.webui_content(number) for number in range(case.tasks)]
    with stub_aws(case.aws_latency_ms) as aws, stub_webui(case.image_seconds) as webui:
        asyncio.run(_bare_loop(webui.url, contents))
        bare_loop = timeline(webui.ask("jobs"), case.image_seconds)
        with running_scheduler(aws, RuntimeType.SDWEBUI, webui.url) as pid:
            webui.ask("reset")
            usage = through_the_queue(aws, pid, workload.filling(contents, TaskType.TEXT_TO_IMAGE))
            jobs = webui.ask("jobs")
    if len(jobs) != case.tasks:
        raise BenchmarkFailed(f"The WebUI made {len(jobs)} pictures for {case.tasks} tasks.")
    return SchedulerResult(
        image_seconds=case.image_seconds,
        has_aws_latency=bool(case.aws_latency_ms),
        tasks=case.tasks,
        tasks_per_second=case.tasks / usage.elapsed_s,
        scheduler=timeline(jobs, case.image_seconds),
        bare_loop=bare_loop,
        cpu_ms_per_task=usage.cpu_ms_per_task,
        peak_rss_mib=usage.peak_rss_mib,
        calls_per_task=usage.calls_per_task,
    )


@dataclass(frozen=True)
class QueueUsage:
    elapsed_s: float
    cpu_ms_per_task: float
    peak_rss_mib: float
    calls_per_task: float


def through_the_queue(aws: Stub, pid: int, filling: Mapping[str, Mapping[str, object]]) -> QueueUsage:
    """Give the scheduler all tasks at once and wait until their messages are deleted.

    Raises:
        BenchmarkFailed: not all of them succeeded.
    """
    count = len(filling["messages"])
    before, began = usage_of(pid), time.monotonic()
    aws.ask("fill", filling)
    aws.ask("deleted", count)
    elapsed_s, after = time.monotonic() - began, usage_of(pid)
    outcome = aws.ask("counts")
    if outcome["statuses"] != {"succeeded": count} or outcome["calls"].get("unknown"):
        raise BenchmarkFailed(f"Of {count} tasks not all succeeded: {outcome}")
    return QueueUsage(
        elapsed_s=elapsed_s,
        cpu_ms_per_task=1000 * (after.cpu_seconds - before.cpu_seconds) / count,
        peak_rss_mib=after.peak_rss_mib,
        calls_per_task=sum(outcome["calls"].values()) / count,
    )


@contextmanager
def running_scheduler(aws: Stub, kind: RuntimeType, runtime_url: str) -> Iterator[int]:
    """Its process id, once it would take a task."""
    port = free_port()
    environment = {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url,
        **workload.deployment(aws.url, kind).to_env(),
        **SchedulerEnvironment(runtime=workload.RUNTIME, runtime_url=runtime_url, port=port).to_env(),
    }
    with service("sdfleet_scheduler", environment, ready_url=f"http://127.0.0.1:{port}/readyz") as pid:
        yield pid


def timeline(jobs: list[tuple[float, float]], work_seconds: float) -> Timeline:
    """`jobs`: begin and end of each, in seconds, in their order."""
    gaps = [1000 * (begin - end) for (_, end), (begin, _) in pairwise(jobs)]
    elapsed = jobs[-1][1] - jobs[0][0]
    busy = sum(end - begin for begin, end in jobs)
    return Timeline(
        idle_share=1 - busy / elapsed if work_seconds else 1.0,
        median_gap_ms=statistics.median(gaps),
        longest_gap_ms=max(gaps),
        overhead_ms=1000 * (elapsed / len(jobs) - work_seconds),
    )


async def _bare_loop(url: str, contents: list[JsonObject]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=None, trust_env=False) as client:
        for content in contents:
            answer = await client.post("/sdapi/v1/txt2img", content=json.dumps(content))
            answer.raise_for_status()
