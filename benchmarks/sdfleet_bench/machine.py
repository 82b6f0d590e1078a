"""What a number was measured on; without it, it says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    cpu_model: str
    cores: int
    system: str
    python: str


def this_machine() -> Machine:
    return Machine(_cpu_model(), os.cpu_count() or 1, f"{platform.system()} {platform.release()}", _python())


def load_average() -> float:
    """Runnable processes, averaged over the last minute: what else the machine did."""
    return round(os.getloadavg()[0], 2)


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def _cpu_model() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
        return platform.machine()
    asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or platform.machine()
