"""Whether this instance's release is still on trial: the record of its fleet's rollouts says so.

Asked only when something has failed, so that it costs a healthy fleet nothing, and is true at the moment that counts.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sdfleet.errors import ServiceUnavailable
from sdfleet.fleet_ports import RolloutStore
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler.offload import offload

log = logs.get_logger(__name__)

#: Of what was read. A broken release fails many tasks within seconds; a rollout's phases are minutes.
FRESH_FOR = timedelta(seconds=5)
#: The runtime waits for the answer before it gets its next task.
PATIENCE = timedelta(seconds=3)


class Trial:
    def __init__(self, rollouts: RolloutStore, clock: Clock, *, runtime: str, release: str) -> None:
        self._rollouts = rollouts
        self._clock = clock
        self._runtime = runtime
        self._release = release
        self._was_on = False
        self._read_at: datetime | None = None

    async def is_on(self) -> bool:
        """What was known last if nobody can tell; at first not: then a failure counts as any other."""
        now = self._clock.now()
        if self._read_at is not None and now - self._read_at < FRESH_FOR:
            return self._was_on
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                history = await offload(self._rollouts.load, self._runtime)
        except (ServiceUnavailable, TimeoutError) as error:
            log.warning("trial.unknown", reason=str(error) or "timeout")
            return self._was_on
        self._was_on, self._read_at = history.is_on_trial(self._release), now
        return self._was_on


async def never() -> bool:
    """Of an instance whose release nobody watches."""
    return False
