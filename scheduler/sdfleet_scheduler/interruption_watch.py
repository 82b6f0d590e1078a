"""Polls the metadata service for notices that this instance has to go."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.errors import ServiceUnavailable
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler import metadata
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.metadata import InstanceMetadata

log = logs.get_logger(__name__)

#: The node termination handler's interval: two minutes leave no time for a slower one.
POLL = timedelta(seconds=2)
#: A recommendation is no drain and has no deadline: it is looked for at every third poll.
REBALANCE_POLLS = 3
#: Off EC2 nothing answers; asking is cheap but pointless.
POLL_WITHOUT_SERVICE = timedelta(seconds=30)
#: Spot gives this long from the notice (EC2 User Guide, "Spot Instance interruption notices").
SPOT_NOTICE = timedelta(seconds=120)


class InterruptionWatch:
    def __init__(
        self,
        service: InstanceMetadata,
        drain: Drain,
        clock: Clock,
        *,
        drain_timeout: timedelta,
        longest_wait: timedelta | None = None,
    ) -> None:
        """`drain_timeout` is for an end that nobody holds back, `longest_wait` for one that the group's hook does."""
        self._service = service
        self._drain = drain
        self._clock = clock
        self._termination_time = drain_timeout if longest_wait is None else longest_wait
        #: Elevated risk, not yet a drain.
        self.is_rebalance_recommended = False
        self._polls = 0
        #: EC2 takes the instance away.
        self.is_interrupted = False
        #: The group has decided that the instance goes; its hook, if it has one, waits for us.
        self.is_terminating = False

    async def run(self) -> None:
        """Poll for ever: a later notice can still shorten the deadline."""
        while True:
            try:
                await self.poll()
            except ServiceUnavailable:
                log.debug("metadata.unavailable")
                await asyncio.sleep(POLL_WITHOUT_SERVICE.total_seconds())
            else:
                await asyncio.sleep(POLL.total_seconds())

    async def poll(self) -> None:
        """Raises:
        ServiceUnavailable: nobody answers.
        """
        action = await self._service.read(metadata.SPOT_ACTION)
        if action is not None:
            self.is_interrupted = True
            self._drain.begin(Notice(NoticeKind.SPOT_INTERRUPTION, self._spot_deadline(action)))
        # Asked during a drain too: whoever leaves has to tell the group that waits for it.
        if not self.is_terminating and await self._service.read(metadata.TARGET_STATE) == "Terminated":
            self.is_terminating = True
            self._drain.begin(Notice(NoticeKind.TERMINATION, self._clock.now() + self._termination_time))
        is_looked_for = not self.is_rebalance_recommended and self._polls % REBALANCE_POLLS == 0
        self._polls += 1
        if is_looked_for and await self._service.read(metadata.REBALANCE) is not None:
            self.is_rebalance_recommended = True
            log.info("rebalance.recommended")

    def _spot_deadline(self, action: str) -> datetime:
        latest = self._clock.now() + SPOT_NOTICE
        try:
            announced = datetime.fromisoformat(str(json.loads(action)["time"]))
        except (ValueError, KeyError, TypeError):
            # A notice we cannot read is still a notice.
            return latest
        return min(latest, announced if announced.tzinfo else announced.replace(tzinfo=UTC))
