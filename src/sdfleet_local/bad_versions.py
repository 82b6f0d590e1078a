"""Versions that are broken on purpose: what a rollback is practised with, before it is needed."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path

from sdfleet_local import practice


class Fault(StrEnum):
    CRASH_AT_START = "crash-at-start"
    #: It starts, and its runtime is never ready.
    HANG_AT_READINESS = "hang-at-readiness"
    FAIL_TASKS = "fail-tasks"
    #: Three in ten.
    FAIL_SOME_TASKS = "fail-some-tasks"
    #: Each task leaves memory behind, until the runtime's server is killed for it, with the task that it has.
    LEAK = "leak"


def plant(snapshot: Path, fault: Fault) -> None:
    """Break the release in `snapshot` (`snapshots.take_snapshot`)."""
    package = snapshot / "sdfleet_scheduler"
    shutil.copyfile(practice.__file__, package / "practice.py")
    (package / practice.FAULT_FILE).write_text(f"{fault}\n", encoding="utf-8")
    with (package / "__init__.py").open("a", encoding="utf-8") as init:
        init.write("\nfrom sdfleet_scheduler import practice\n\npractice.begin()\n")
