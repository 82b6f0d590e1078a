"""`python -m sdfleet_bench.model_changes SIZE_MIB ROUNDS DIRECTORY S3_URL WEBUI_URL`: prints what each change took.

The scheduler's own model store, adapter and metric, in a process whose environment has the stub's credentials.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sdfleet.aws.clients import Clients
from sdfleet.aws.model_bucket import S3ModelBucket
from sdfleet.domain.task import RuntimeType, TaskType
from sdfleet_bench.stubs import BenchmarkFailed
from sdfleet_local.plan import REGION
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.model_store import ModelStore
from sdfleet_scheduler.model_switches import ModelSource, ModelSwitches
from sdfleet_scheduler.models import Models
from sdfleet_scheduler.runtimes.base import Job
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime, sdwebui_client

MIB = 1024 * 1024
FOLDER = "Stable-diffusion"
#: Two that are not measured push the measured one out of the server's memory.
OTHERS = ("first.safetensors", "second.safetensors")


def measured_names(rounds: int) -> list[str]:
    return [f"measured-{number}.safetensors" for number in range(rounds)]


@dataclass(frozen=True)
class Change:
    source: ModelSource
    #: As the scheduler's metric has it: the download, if there was one, and the server's loading.
    seconds: float
    #: Of the task, from its models to its picture.
    task_seconds: float


async def changes(size_mib: int, rounds: int, directory: Path, s3_url: str, webui_url: str) -> list[Change]:
    """One from each source in each round.

    Raises:
        BenchmarkFailed: a checkpoint came from elsewhere than it should have.
    """
    bench = _Bench(size_mib, directory, s3_url, webui_url)
    await bench.start()
    done = []
    try:
        for other in OTHERS:
            await bench.use(other)
        for name in measured_names(rounds):
            done.append(await bench.change(name, ModelSource.BUCKET))
            await bench.use(OTHERS[0])
            done.append(await bench.change(name, ModelSource.MEMORY))
            for other in OTHERS:
                await bench.use(other)
            _drop_from_page_cache(directory / FOLDER / name)
            done.append(await bench.change(name, ModelSource.DISK))
    finally:
        await bench.close()
    return done


class _Bench:
    def __init__(self, size_mib: int, directory: Path, s3_url: str, webui_url: str) -> None:
        self._instruments = Instruments()
        switches = ModelSwitches(self._instruments)
        self._clients = Clients(region=REGION, endpoint_url=s3_url)
        self._runtime = SdWebUiRuntime(sdwebui_client(webui_url), on_loaded=switches.loaded)
        # Everything but one: the cache has to give up what is no longer measured.
        max_bytes = (len(OTHERS) + 2) * size_mib * MIB
        store = ModelStore(S3ModelBucket(self._clients.s3, "models"), directory, max_bytes=max_bytes)
        self._models = Models(
            store, RuntimeType.SDWEBUI, on_arrival=self._runtime.models_arrived, on_fetched=switches.fetched
        )

    async def start(self) -> None:
        await self._models.start()

    async def close(self) -> None:
        await self._models.close()
        await self._runtime.close()
        self._clients.s3.close()

    async def use(self, name: str) -> float:
        """Run a task with this checkpoint; what it took, in seconds."""
        began = time.monotonic()
        content = {
            "prompt": "",
            "steps": 1,
            "width": 64,
            "height": 64,
            "override_settings": {"sd_model_checkpoint": name},
        }
        held = await self._models.prepare(TaskType.TEXT_TO_IMAGE, content)
        try:
            await self._runtime.generate(
                Job("bench", "bench", "bench", TaskType.TEXT_TO_IMAGE, content), lambda share: None
            )
        finally:
            held.release()
        return time.monotonic() - began

    async def change(self, name: str, source: ModelSource) -> Change:
        before = self._seen(source)
        task_seconds = await self.use(name)
        count, seconds = (after - earlier for after, earlier in zip(self._seen(source), before, strict=True))
        if count != 1:
            raise BenchmarkFailed(f"{name} did not come from {source}.")
        return Change(source, seconds, task_seconds)

    def _seen(self, source: ModelSource) -> tuple[float, float]:
        """The metric's count and sum."""
        value = self._instruments.registry.get_sample_value
        labels = {"source": source.value}
        name = "sdfleet_model_switch_seconds"
        return value(f"{name}_count", labels) or 0.0, value(f"{name}_sum", labels) or 0.0


def _drop_from_page_cache(path: Path) -> None:
    """So that the next read is the disk's, where the system can be told."""
    if not hasattr(os, "posix_fadvise"):
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def main(size_mib: str, rounds: str, directory: str, s3_url: str, webui_url: str) -> None:
    done = asyncio.run(changes(int(size_mib), int(rounds), Path(directory), s3_url, webui_url))
    sys.stdout.write(json.dumps([asdict(change) for change in done]))


if __name__ == "__main__":
    main(*sys.argv[1:])
