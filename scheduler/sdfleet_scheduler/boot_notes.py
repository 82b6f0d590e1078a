"""What the boot scripts and the scheduler tell each other: files in one directory, gone with a reboot.

`marks` is the timeline so far, `failed` the first reason why the boot has failed, `completed` says that it has not.
"""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path

from sdfleet.domain.boot_timeline import Mark, read_marks
from sdfleet.errors import ServiceUnavailable
from sdfleet_scheduler.metadata import InstanceMetadata

_MARKS, _FAILED, _COMPLETED = "marks", "failed", "completed"


class BootNotes:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def marks(self) -> list[Mark]:
        try:
            return list(
                read_marks((self._directory / _MARKS).read_text(encoding="ascii", errors="replace").splitlines())
            )
        except OSError:
            return []

    @property
    def is_completed(self) -> bool:
        """This boot has had its end before: the scheduler alone was started again."""
        return (self._directory / _COMPLETED).exists()

    @property
    def failure(self) -> str | None:
        try:
            return (self._directory / _FAILED).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def fail(self, reason: str) -> None:
        """Have the instance reported and given up, unless that has been begun for another reason."""
        with contextlib.suppress(FileExistsError), (self._directory / _FAILED).open("x", encoding="utf-8") as file:
            file.write(f"{reason}\n")

    def complete(self) -> None:
        (self._directory / _COMPLETED).touch()


async def launched_at(service: InstanceMetadata) -> datetime | None:
    """When EC2 launched this instance; None: nobody knows.

    EC2 User Guide, "Retrieve the instance identity document", pendingTime.
    """
    try:
        document = await service.identity_document()
        pending = json.loads(document or "{}").get("pendingTime")
        return None if pending is None else datetime.fromisoformat(str(pending))
    except (ServiceUnavailable, ValueError, AttributeError):
        return None


def kernel_started_at() -> datetime | None:
    """When this machine started; None where that cannot be read."""
    try:
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return datetime.fromtimestamp(time.time() - uptime, UTC)
