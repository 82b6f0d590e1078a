"""What a process has used."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    #: Of all its threads since its start, user and system.
    cpu_seconds: float
    #: The most memory it ever held; where the system does not tell, what it holds now.
    peak_rss_mib: float


def usage_of(pid: int) -> Usage:
    if Path("/proc/self/stat").exists():
        return _from_proc(pid)
    return _from_ps(pid)


def _from_proc(pid: int) -> Usage:
    # Counted from the end of the name, which may hold anything. 11 and 12: utime and stime (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(peak[1]) / 1024 if peak else 0.0)


def _from_ps(pid: int) -> Usage:
    answer = subprocess.run(["/bin/ps", "-o", "time=,rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    spent, rss_kib = answer.stdout.split()
    seconds = 0.0
    for part in spent.split(":"):
        seconds = seconds * 60 + float(part)
    return Usage(seconds, int(rss_kib) / 1024)
