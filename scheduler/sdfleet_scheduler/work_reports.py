"""Tells the fast scaler whether this instance has work, and how long a task takes here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from sdfleet.domain.scaler_record import InstanceWork
from sdfleet.errors import ServiceUnavailable
from sdfleet.fleet_ports import WorkReports
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler.offload import offload

log = logs.get_logger(__name__)

#: A change is known within this; an idle instance that gets a task has a minute's idleness behind it if it is chosen to
#: go, and then its termination hook waits for the task.
LOOK = timedelta(seconds=2)
#: Between two tasks nothing is told: most pauses are shorter.
SETTLED = timedelta(seconds=5)
#: A third of what the scaler believes it for.
REPEAT = timedelta(minutes=1)
#: Tasks that take so many times as long as was told, or as little, are news: a queue of them needs another fleet.
OTHER_PACE = 1.5
#: The first tasks of another workload move the mean at each look.
PACE_SETTLED = timedelta(seconds=10)


class WorkReporter:
    def __init__(
        self,
        reports: WorkReports,
        clock: Clock,
        *,
        instance_id: str,
        is_ready: Callable[[], bool],
        in_hand: Callable[[], int],
        served: Callable[[], int],
        task_time: Callable[[], timedelta | None],
    ) -> None:
        """`in_hand`: tasks there are; `served`: tasks that have had the runtime up to now."""
        self._reports = reports
        self._clock = clock
        self._instance_id = instance_id
        self._is_ready = is_ready
        self._in_hand = in_hand
        self._served = served
        self._task_time = task_time
        self._seen_served = 0
        self._idle_since: datetime | None = None
        self._told: InstanceWork | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK.total_seconds())

    async def look(self) -> None:
        """Say what has changed, or what was said a minute ago. An instance that boots has nothing to say."""
        if not self._is_ready():
            return
        now = self._clock.now()
        work = self._work(now)
        if not self._is_news(work, now):
            return
        try:
            await offload(self._reports.report, work)
        except ServiceUnavailable as error:
            # Unheard it counts as busy, and stays.
            log.warning("work.not_reported", reason=str(error))
            return
        self._told = work

    def _work(self, now: datetime) -> InstanceWork:
        served = self._served()
        if self._in_hand() or served != self._seen_served:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        self._seen_served = served
        task_time = self._task_time()
        return InstanceWork(
            self._instance_id,
            at=now,
            idle_since=self._idle_since,
            task_s=None if task_time is None else task_time.total_seconds(),
        )

    def _is_news(self, work: InstanceWork, now: datetime) -> bool:
        told = self._told
        if told is None or now - told.at >= REPEAT:
            return True
        if now - told.at >= PACE_SETTLED and _is_other_pace(told.task_s, work.task_s):
            return True
        if work.idle_since is None:
            return told.idle_since is not None
        return told.idle_since is None and now - work.idle_since >= SETTLED


def _is_other_pace(told_s: float | None, task_s: float | None) -> bool:
    if told_s is None or task_s is None:
        return told_s != task_s
    return not told_s / OTHER_PACE <= task_s <= told_s * OTHER_PACE
