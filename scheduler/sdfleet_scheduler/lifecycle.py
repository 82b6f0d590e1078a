"""What this instance tells its group: that it has work in hand, that all of it is settled, that it cannot work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.errors import LifecycleActionNotFound, ServiceUnavailable
from sdfleet.ports import Clock, InstanceHealth, LifecycleHooks
from sdfleet.telemetry import logs
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.interruption_watch import InterruptionWatch
from sdfleet_scheduler.offload import offload

log = logs.get_logger(__name__)

#: How often it is looked whether a heartbeat is due.
TICK = timedelta(seconds=1)
#: One call with the SDK's own repetitions; a hook's shortest timeout is 30 s.
CALL_TIMEOUT = timedelta(seconds=10)
#: All calls that complete the hook. Fresh, not what the drain left: settlement may have used that up.
COMPLETION_TIMEOUT = timedelta(seconds=20)
#: The group acts on an unhealthy instance within seconds. Below systemd's 90 s, should SIGTERM come meanwhile.
DECISION_TIMEOUT = timedelta(seconds=60)
#: Between two calls where the first one failed.
PAUSE = timedelta(seconds=1)
#: The metadata service may know of the group's decision a little before the hook's action has begun.
ACTION_LAG = timedelta(seconds=3)


@dataclass(frozen=True)
class TerminationHook:
    hooks: LifecycleHooks
    timeout: timedelta
    #: What is left for a drain once it turns out that nothing holds the instance.
    drain_timeout: timedelta


class Lifecycle:
    def __init__(
        self,
        hook: TerminationHook | None,
        watch: InterruptionWatch,
        drain: Drain,
        clock: Clock,
        *,
        instance_id: str,
        health: InstanceHealth | None = None,
    ) -> None:
        """`hook` None: the group has none, or this is no group's instance. `health` None: this is no group's."""
        self._hook = hook
        self._health = health
        self._watch = watch
        self._drain = drain
        self._clock = clock
        self._instance_id = instance_id
        self._expires_at: datetime | None = None
        self._next_beat_at: datetime | None = None
        self._unknown_since: datetime | None = None

    async def run(self) -> None:
        """Heartbeats from the group's decision on, until cancelled."""
        while True:
            await self.hold()
            await asyncio.sleep(TICK.total_seconds())

    async def hold(self) -> None:
        """Have the group wait, if it does and a heartbeat is due.

        Not under a Spot notice: EC2 takes the instance away whatever the group waits for.
        """
        if self._hook is None or not self._watch.is_terminating or self._watch.is_interrupted:
            return
        now = self._clock.now()
        if self._expires_at is None:
            # The first comes at once: it tells whether there is a hook that the long deadline can rely on.
            self._expires_at = now + self._hook.timeout
            self._next_beat_at = now
        if self._next_beat_at is not None and now >= self._next_beat_at:
            self._next_beat_at = await self._beat(self._hook, now, self._expires_at)

    async def _beat(self, hook: TerminationHook, now: datetime, expires_at: datetime) -> datetime | None:
        """When the next is due; None: never."""
        try:
            await self._call(hook.hooks.heartbeat)
        except LifecycleActionNotFound as error:
            self._unknown_since = self._unknown_since or now
            if now - self._unknown_since < ACTION_LAG:
                return now + PAUSE
            log.warning("lifecycle_action.absent", reason=str(error))
            self._drain.begin(Notice(NoticeKind.TERMINATION, now + hook.drain_timeout))
            return None
        except (ServiceUnavailable, TimeoutError):
            log.warning("lifecycle_action.heartbeat_failed", left_s=(expires_at - now).total_seconds())
            if expires_at - now <= hook.timeout / 3:
                self._drain.begin(Notice(NoticeKind.TERMINATION, expires_at))
            return now + min(PAUSE * 5, hook.timeout / 6)
        log.info("lifecycle_action.extended", by_s=hook.timeout.total_seconds())
        self._unknown_since = None
        self._expires_at = now + hook.timeout
        return now + hook.timeout / 3

    async def ask_for_replacement(self) -> None:
        """Have the group replace this instance, whose machine is at fault. To be called when nothing is in hand."""
        if self._health is None or self._watch.is_terminating or self._watch.is_interrupted:
            return
        try:
            async with asyncio.timeout(COMPLETION_TIMEOUT.total_seconds()):
                await self._report_unhealthy(self._health)
        except TimeoutError:
            log.error("instance.unhealthy_unreported")
            return
        log.warning("instance.reported_unhealthy")
        if self._hook is None:
            return
        # Whoever leaves before the group has decided leaves its hook waiting for the whole timeout.
        try:
            async with asyncio.timeout(DECISION_TIMEOUT.total_seconds()):
                while not self._watch.is_terminating:
                    await asyncio.sleep(PAUSE.total_seconds())
                    with contextlib.suppress(ServiceUnavailable):
                        await self._watch.poll()
        except TimeoutError:
            log.warning("instance.not_replaced", waited_s=DECISION_TIMEOUT.total_seconds())

    async def _report_unhealthy(self, health: InstanceHealth) -> None:
        while True:
            try:
                await self._call(health.report_unhealthy)
            except (ServiceUnavailable, TimeoutError) as error:
                log.warning("instance.report_failed", reason=str(error) or "timeout")
            else:
                return
            await asyncio.sleep(PAUSE.total_seconds())

    async def complete(self) -> None:
        """Tell the group that waits for this instance that it may end it. To be called when nothing is in hand."""
        if self._hook is None:
            return
        try:
            async with asyncio.timeout(COMPLETION_TIMEOUT.total_seconds()):
                await self._complete(self._hook.hooks)
        except TimeoutError:
            # The group goes on by itself when the hook's timeout has passed.
            log.warning("lifecycle_action.not_completed")

    async def _complete(self, hooks: LifecycleHooks) -> None:
        # The drain may have had another cause, and the group's decision may be younger than the last poll.
        with contextlib.suppress(ServiceUnavailable):
            await self._watch.poll()
        if not self._watch.is_terminating:
            return
        began = self._clock.now()
        while True:
            try:
                await self._call(hooks.complete)
            except LifecycleActionNotFound as error:
                if self._clock.now() - began >= ACTION_LAG:
                    log.warning("lifecycle_action.absent", reason=str(error))
                    return
            except (ServiceUnavailable, TimeoutError) as error:
                log.warning("lifecycle_action.completion_failed", reason=str(error) or "timeout")
            else:
                log.info("lifecycle_action.completed")
                return
            await asyncio.sleep(PAUSE.total_seconds())

    async def _call(self, call: Callable[[str], None]) -> None:
        async with asyncio.timeout(CALL_TIMEOUT.total_seconds()):
            await offload(call, self._instance_id)
