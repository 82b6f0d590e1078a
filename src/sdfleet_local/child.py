"""A long-running child process of the supervisor, and the log it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdfleet_local.plan import REGION
from sdfleet_local.processes import ProcessIdentity, identify

#: The endpoint takes any; the SDK insists on having some.
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
#: A profile of the user's must not send local mode to a real account.
_NO_PROFILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@dataclass
class Child:
    process: subprocess.Popen[bytes] = field(repr=False)
    log_file: Path

    @property
    def identity(self) -> ProcessIdentity | None:
        return identify(self.process.pid)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        """The last line of its log, shortened to fit into a message."""
        return last_line(self.log_file)


def start(module: str, *arguments: str, environment: Mapping[str, str], log_file: Path) -> Child:
    """Run `python -m module arguments` with `environment` alone, its output appended to `log_file`."""
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return Child(process, log_file)


def base_environment() -> dict[str, str]:
    """This process's environment without the user's AWS settings, with credentials that the endpoint takes."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SDFLEET_"))}
    loopback = "127.0.0.1,localhost"
    # A proxy has no way to this machine's own ports.
    for name in ("NO_PROXY", "no_proxy"):
        inherited[name] = f"{inherited[name]},{loopback}" if inherited.get(name) else loopback
    region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
    return {**inherited, **_CREDENTIALS, **_NO_PROFILES, **region, "PYTHONUNBUFFERED": "1"}


def last_line(log_file: Path) -> str:
    try:
        lines = log_file.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1][:300] if lines else ""
