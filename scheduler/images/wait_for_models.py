"""What a server reads at its start alone has to be there before: waits for the file that says so."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

#: File to wait for; not set or empty: nothing is waited for.
WAIT_FOR = "SDFLEET_WAIT_FOR"
_POLL_S = 0.2
#: The scheduler goes on without a file that can never come; so does the server, which is started again if it came late.
PATIENCE_S = 600.0


def wait(environment: Mapping[str, str], *, patience_s: float = PATIENCE_S) -> bool:
    """Whether it is there, or there is nothing to wait for."""
    name = environment.get(WAIT_FOR)
    if not name:
        return True
    until = time.monotonic() + patience_s
    while not Path(name).exists():
        if time.monotonic() >= until:
            print(f"sdfleet: {name} did not come within {patience_s:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
            return False
        time.sleep(_POLL_S)
    return True


if __name__ == "__main__":
    wait(os.environ)
