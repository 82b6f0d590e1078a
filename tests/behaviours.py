"""What a scripted runtime does with a job, beside succeeding."""

from __future__ import annotations

import asyncio

from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback, RuntimeFailure


async def fails_permanently(job: Job, on_progress: ProgressCallback) -> Generation:
    raise RuntimeFailure.permanent("model_not_found", "no such model")


async def fails_transiently(job: Job, on_progress: ProgressCallback) -> Generation:
    raise RuntimeFailure.transient("out_of_memory", "the GPU ran out of memory")


async def is_lost(job: Job, on_progress: ProgressCallback) -> Generation:
    raise RuntimeFailure.lost("connection refused")


async def hangs(job: Job, on_progress: ProgressCallback) -> Generation:
    await asyncio.sleep(30)
    raise AssertionError("nobody stopped it")
