"""`python -m sdfleet_scheduler`: one instance's api-scheduler."""

from __future__ import annotations

import os
import sys

import uvloop

from sdfleet.errors import ConfigError
from sdfleet.telemetry import logs
from sdfleet_scheduler.composition import compose
from sdfleet_scheduler.supervisor import supervise

log = logs.get_logger(__name__)


async def run() -> None:
    parts = await compose(os.environ)
    logs.bind(instance_id=parts.identity.instance_id, release=parts.identity.release, fleet=parts.environment.runtime)
    await supervise(parts)


def main() -> int:
    logs.configure(os.environ.get("SDFLEET_LOG_LEVEL", "INFO"))
    try:
        # A tenth of a task's processor time less than asyncio's own loop.
        uvloop.run(run())
    except ConfigError as error:
        log.error("scheduler.misconfigured", reason=str(error))
        return 2
    except Exception:  # the last line of a process: say where it died, leave non-zero
        log.exception("scheduler.crashed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
