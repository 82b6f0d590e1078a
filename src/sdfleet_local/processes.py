"""Operating-system processes that outlive the command that started them, and are found again safely."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_POLL_S = 0.05
#: Between SIGKILL and the process table's word that it is gone; more only where a disk hangs.
_KILL_PATIENCE = timedelta(seconds=5)


@dataclass(frozen=True)
class ProcessIdentity:
    """A process id alone is used again by the system; with its start it names one process for ever."""

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        return _started(self.pid) == self.started


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has this id now; None if there is none, or only its remains (a zombie)."""
    started = _started(pid)
    return None if started is None else ProcessIdentity(pid, started)


def stop(processes: Iterable[ProcessIdentity], *, grace: timedelta) -> None:
    """SIGTERM to all, SIGKILL to those that are still there after `grace`; returns when none is left."""
    remaining = _signal(processes, signal.SIGTERM)
    remaining = _wait(remaining, grace)
    _wait(_signal(remaining, signal.SIGKILL), _KILL_PATIENCE)


def _signal(processes: Iterable[ProcessIdentity], number: signal.Signals) -> list[ProcessIdentity]:
    reached = []
    for process in processes:
        if process.is_alive:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue
            reached.append(process)
    return reached


def _wait(processes: list[ProcessIdentity], patience: timedelta) -> list[ProcessIdentity]:
    end = time.monotonic() + patience.total_seconds()
    while (processes := [process for process in processes if process.is_alive]) and time.monotonic() < end:
        time.sleep(_POLL_S)
    return processes


def _started(pid: int) -> str | None:
    """When the process started, in whatever form the system tells it."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name may hold spaces and parentheses; the fields are counted from its end: state is the first.
        fields = stat.rsplit(")", 1)[1].split()
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if answer.returncode or not state or state.startswith("Z") else started.strip()
