"""Boots an instance in a root tree: real systemd, real units and scripts, a real scheduler, the embedded AWS endpoint.

Stand-ins are the GPU and the container engine (`tests/boot/stand_ins`), and what EC2 itself does: the metadata service
and the stages of cloud-init. `run` does it in mount and network namespaces of their own (`boot_sandbox_inside`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STAND_INS = ROOT / "tests/boot/stand_ins"
#: Made once, by this file as a program.
TREE = Path(os.environ.get("SDFLEET_BOOT_TREE", "/var/tmp/sdfleet-boot-tree"))
PACKAGES = (
    "systemd,systemd-sysv,dbus,curl,python3,iptables,iproute2,mdadm,xfsprogs,e2fsprogs,util-linux,awscli,procps,"
    "ca-certificates"
)
RELEASE, INSTANCE = "1.2.0", "i-0123456789abcdef0"
SCHEDULER_IMAGE, RUNTIME_IMAGE = "registry.local/scheduler@sha256:1", "registry.local/runtime@sha256:2"
MODEL = "v1-5.safetensors"
REGION = "us-west-2"
#: A boot of this machine's takes seconds; one that fails by being late, this long.
PATIENCE_S = 150


@dataclass(frozen=True)
class Scenario:
    """What the instance finds."""

    #: Tags that the launch template forgot.
    missing_tags: tuple[str, ...] = ()
    #: Images that neither the AMI nor any registry has.
    missing_images: tuple[str, ...] = ()
    has_model: bool = True
    #: Bytes of the disk that models go to; None: as many as they like.
    disk_bytes: int | None = None
    #: What lies there already.
    filled_bytes: int = 0
    is_runtime_dead: bool = False
    #: False: user data does, as on the stock AMI.
    ami_brings_files: bool = True


@dataclass
class Outcome:
    #: What `systemd-analyze verify` says of the units.
    complaints: str = ""
    #: Results of the launch hook, in their order.
    hook: list[str] = field(default_factory=list)
    unhealthy: int = 0
    #: The fleet's and release's record.
    failures: int = 0
    reason: str | None = None
    boot_s: float | None = None
    #: Everything in the fleet's log group.
    log: list[str] = field(default_factory=list)
    #: Events of the scheduler's own log.
    events: list[dict[str, Any]] = field(default_factory=list)
    readiness: int = 0
    #: What the runtime's container could connect to.
    reached: dict[str, bool] = field(default_factory=dict)
    marks: str = ""
    #: For whoever looks into a failing test.
    journal: str = ""
    seconds: float = 0.0

    def event(self, name: str) -> dict[str, Any]:
        """The only one of that name."""
        (found,) = [one for one in self.events if one.get("event") == name]
        return found


def obstacle() -> str | None:
    """Why no tree can be booted here; None: it can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces and a root tree"
    missing = [tool for tool in ("systemd-nspawn", "ip", "unshare") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)} (Debian: systemd-container, iproute2)"
    if not (TREE / "usr/bin/aws").exists():
        return f"needs a root tree at {TREE}: sudo .venv/bin/python tests/boot_sandbox.py makes it (mmdebstrap)"
    return None


def run(scenario: Scenario) -> Outcome:
    program = Path(__file__).with_name("boot_sandbox_inside.py")
    words = ["unshare", "--mount", "--net", sys.executable, str(program), json.dumps(asdict(scenario))]
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory) / "outcome.json"
        with (Path(directory) / "output").open("w+") as output:
            done = subprocess.run([*words, str(answer)], stdout=output, stderr=subprocess.STDOUT, check=False)
            output.seek(0)
            assert done.returncode == 0, output.read()[-4000:]
        return Outcome(**json.loads(answer.read_text()))


def make_tree() -> None:
    """Takes minutes, and half a gigabyte."""
    words = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(TREE)]
    subprocess.run(words, check=True)


if __name__ == "__main__":
    make_tree()
