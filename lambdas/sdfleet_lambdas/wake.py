"""Wakes the fast scaler when a task goes out to its fleet's queue."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sdfleet.errors import SdfleetError
from sdfleet.ports import Clock, Topic, WakeMark
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

#: So long nobody asks again whether the scaler sleeps or rests: what a look takes when it does neither.
ASK_EVERY = timedelta(seconds=5)


@dataclass(frozen=True)
class FleetWaker:
    store: WakeMark
    #: Whoever subscribes to it is the scaler.
    topic: Topic
    clock: Clock
    _asked: dict[str, datetime] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wake(self, runtime: str) -> None:
        """Never fails: the task is out, and the alarms see it within minutes."""
        now = self.clock.now()
        with self._lock:
            asked = self._asked.get(runtime)
            if asked is not None and now - asked < ASK_EVERY:
                return
            self._asked[runtime] = now
        try:
            if self.store.wake(runtime, now=now):
                self.topic.publish(runtime, {"runtime": runtime})
                log.info("scaler.woken", runtime=runtime)
        except SdfleetError as error:
            log.warning("scaler.not_woken", runtime=runtime, reason=str(error))
            with self._lock:
                self._asked.pop(runtime, None)
