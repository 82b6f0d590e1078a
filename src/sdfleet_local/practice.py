"""A release that is broken on purpose, to practise a rollback with (docs/operations/releases.md).

`bad_versions.plant` puts a copy of this file into a snapshot's scheduler, which imports it before anything else. No
other release has it.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from sdfleet.domain.task import RuntimeType
from sdfleet_scheduler import composition
from sdfleet_scheduler.runtimes.base import Generation, Job, ProgressCallback, Runtime, RuntimeFailure
from sdfleet_scheduler.runtimes.registry import RuntimeSettings, build_runtime

#: Beside this file: the name of the fault.
FAULT_FILE = "practice-fault"
#: Of an instance's own first picture: what fails at that is never in service, and has no task to fail.
BOOT_RUN = "boot"
#: Of `fail-some-tasks`.
FAILING_SHARE = 0.3
#: Of `leak`: what each task leaves behind, and where the server is killed for it. A machine bears that.
LEAK_BYTES = 16 * 1024 * 1024
LEAK_LIMIT_BYTES = 4 * LEAK_BYTES
#: Of a server that is started again.
_RESTART_S = 2.0


class BrokenRuntime:
    """`runtime` with a fault."""

    def __init__(self, runtime: Runtime, fault: str) -> None:
        self._runtime = runtime
        self._fault = fault
        self._leaked: list[bytes] = []
        self._up_at = 0.0

    async def is_ready(self) -> bool:
        if self._fault == "hang-at-readiness" or time.monotonic() < self._up_at:
            return False
        return await self._runtime.is_ready()

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        if job.run == BOOT_RUN:
            return await self._runtime.generate(job, on_progress)
        is_unlucky = random.random() < FAILING_SHARE
        if self._fault == "fail-tasks" or (self._fault == "fail-some-tasks" and is_unlucky):
            await job.turn()
            raise RuntimeFailure.transient("practice", "This release is broken on purpose.")
        if self._fault == "leak":
            await self._leak(job)
        return await self._runtime.generate(job, on_progress)

    async def close(self) -> None:
        await self._runtime.close()

    async def _leak(self, job: Job) -> None:
        # Written to, so that the system really gives it.
        self._leaked.append(b"x" * LEAK_BYTES)
        if len(self._leaked) * LEAK_BYTES > LEAK_LIMIT_BYTES:
            await job.turn()
            self._leaked.clear()
            self._up_at = time.monotonic() + _RESTART_S
            raise RuntimeFailure.lost("The server was killed for its memory; this release leaks on purpose.")


def begin() -> None:
    """To be called by the broken release itself."""
    fault = Path(__file__).with_name(FAULT_FILE).read_text(encoding="utf-8").strip()
    if fault == "crash-at-start":
        sys.exit("This release crashes on purpose (docs/operations/releases.md).")

    def build(kind: RuntimeType, url: str | None, settings: RuntimeSettings) -> Runtime:
        return BrokenRuntime(build_runtime(kind, url, settings), fault)

    # The one place that builds it, as the release itself has it.
    composition.build_runtime = build  # type: ignore[attr-defined]
