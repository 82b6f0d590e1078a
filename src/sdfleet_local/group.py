"""The local Auto Scaling group: keeps a number of instances of one runtime alive.

Follows Auto Scaling's rules where they can be seen from outside: lifecycle states, replacement of what died,
capacity rebalancing (the replacement starts at the notice, not at the end of the two minutes).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdfleet.errors import LocalModeError, SdfleetError
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_local.instance import Instance, InstanceDescription, Launcher, LifecycleState, new_instance_id

log = logs.get_logger(__name__)

#: EC2 takes a Spot instance away this long after the notice (EC2 User Guide, "Spot Instance interruption notices").
SPOT_NOTICE = timedelta(seconds=120)
#: systemd's patience with a service that stops.
TERMINATION_PATIENCE = timedelta(seconds=90)
#: Instances that die at boot are replaced more and more slowly: the first at once, then after these.
FIRST_BACKOFF = timedelta(seconds=1)
LONGEST_BACKOFF = timedelta(seconds=30)
#: A group that may sleep does so after this long without a message: a picture every few minutes keeps it awake.
SLEEP_AFTER = timedelta(minutes=5)
#: How often a sleeping group looks at its queue: the fast scaler's seconds.
DEPTH_INTERVAL = timedelta(seconds=1)


@dataclass
class _Member:
    instance: Instance
    state: LifecycleState = LifecycleState.PENDING
    #: It leaves, so it does not count as capacity.
    is_leaving: bool = False
    kill_at: datetime | None = None


class LocalGroup:
    def __init__(
        self,
        *,
        name: str,
        runtime: str,
        capacity: int,
        launcher: Launcher,
        clock: Clock,
        depth: Callable[[], int],
        sleep_after: timedelta = SLEEP_AFTER,
    ) -> None:
        """`capacity` 0: starts at zero, one instance comes with the first message and goes after `sleep_after`.

        `depth` counts the messages in the group's queue, those in flight too.
        """
        self.name = name
        self.runtime = runtime
        self._may_sleep = capacity == 0
        self._desired = capacity
        self._launcher = launcher
        self._clock = clock
        self._depth = depth
        self._sleep_after = sleep_after
        self._members: list[_Member] = []
        self._deaths_at_boot = 0
        self._last_words = ""
        self._next_launch_at = clock.now()
        self._next_depth_at = clock.now()
        self._busy_at = clock.now()
        self._lock = threading.RLock()

    @property
    def deaths_at_boot(self) -> int:
        """Instances in a row that ended before they were in service."""
        return self._deaths_at_boot

    @property
    def last_words(self) -> str:
        """The last log line of the instance that died at boot last."""
        return self._last_words

    @property
    def is_at_capacity(self) -> bool:
        """Whether as many instances are in service as there should be."""
        with self._lock:
            return self._in_service() >= self._desired

    def instances(self) -> list[Instance]:
        """Those that have a process."""
        with self._lock:
            return [member.instance for member in self._members]

    def describe(self) -> list[InstanceDescription]:
        with self._lock:
            return [member.instance.describe(member.state) for member in self._members]

    def interrupt(self, instance_id: str) -> datetime:
        """Post a Spot interruption notice; when the instance will be taken away.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            member = next((one for one in self._members if one.instance.instance_id == instance_id), None)
            if member is None:
                raise LocalModeError(f"There is no instance {instance_id}; `sdfleet local instances` lists them.")
            if (announced := member.instance.metadata.interruption_at) is not None:
                return announced
            now = self._clock.now()
            ends_at = now + SPOT_NOTICE if member.kill_at is None else min(member.kill_at, now + SPOT_NOTICE)
            member.kill_at = ends_at
            member.is_leaving = True
            member.instance.metadata.rebalance_noticed_at = now
            member.instance.metadata.interruption_at = ends_at
            log.info("instance.interrupted", instance_id=instance_id, ends_at=ends_at)
            return ends_at

    def tick(self) -> bool:
        """Bring the group closer to what it should be; whether its members changed."""
        with self._lock:
            now = self._clock.now()
            before = [(member.instance.instance_id, member.state) for member in self._members]
            self._bury_the_dead(now)
            self._note_the_ready()
            self._end_the_leaving(now)
            if self._may_sleep:
                self._scale(now)
            self._shrink(now)
            self._grow(now)
            return before != [(member.instance.instance_id, member.state) for member in self._members]

    def stop(self, *, at: datetime) -> None:
        """Launch nothing more; everything that runs has to be gone by `at`, tasks in hand given back.

        An instance that is idle, or not yet in service, has nothing to give back and is ended at once.
        """
        with self._lock:
            self._desired = 0
            self._may_sleep = False
            for member in self._members:
                member.is_leaving = True
                member.kill_at = at
                if member.state is LifecycleState.PENDING or member.instance.is_idle():
                    member.instance.kill()
                    continue
                member.instance.metadata.interruption_at = at
                member.instance.terminate()
                member.state = LifecycleState.TERMINATING

    def _bury_the_dead(self, now: datetime) -> None:
        for member in [member for member in self._members if not member.instance.is_running]:
            self._members.remove(member)
            member.instance.close()
            log.info("instance.terminated", instance_id=member.instance.instance_id, last_state=member.state)
            if member.state is LifecycleState.PENDING and not member.is_leaving:
                self._last_words = member.instance.last_words()
                self._back_off(now)

    def _back_off(self, now: datetime) -> None:
        self._deaths_at_boot += 1
        if self._deaths_at_boot > 1:
            pause = min(FIRST_BACKOFF * 2 ** min(self._deaths_at_boot - 2, 10), LONGEST_BACKOFF)
            self._next_launch_at = now + pause
            log.warning("instance.died_at_boot", in_a_row=self._deaths_at_boot, next_after_s=pause.total_seconds())

    def _note_the_ready(self) -> None:
        for member in self._members:
            if member.state is LifecycleState.PENDING and not member.is_leaving and member.instance.is_ready():
                member.state = LifecycleState.IN_SERVICE
                self._deaths_at_boot = 0
                log.info("instance.in_service", instance_id=member.instance.instance_id)

    def _end_the_leaving(self, now: datetime) -> None:
        for member in self._members:
            if member.kill_at is not None and now >= member.kill_at:
                member.instance.kill()
            elif member.is_leaving and member.state is not LifecycleState.TERMINATING and self.is_at_capacity:
                # Its replacement is in service: the group lets it go, and it may use what is left of its time.
                member.state = LifecycleState.TERMINATING
                member.instance.metadata.target_state = "Terminated"

    def _scale(self, now: datetime) -> None:
        if now < self._next_depth_at:
            return
        self._next_depth_at = now + DEPTH_INTERVAL
        try:
            depth = self._depth()
        except SdfleetError:
            log.warning("depth.unknown", group=self.name)
            return
        if depth:
            self._busy_at = now
        desired = 1 if depth or (self._desired and now - self._busy_at < self._sleep_after) else 0
        if desired != self._desired:
            log.info("group.scaled", group=self.name, desired=desired, depth=depth)
            self._desired = desired

    def _shrink(self, now: datetime) -> None:
        staying = self._staying()
        for member in staying[self._desired :]:
            member.is_leaving = True
            member.state = LifecycleState.TERMINATING
            member.kill_at = now + TERMINATION_PATIENCE
            member.instance.metadata.target_state = "Terminated"
            member.instance.terminate()

    def _grow(self, now: datetime) -> None:
        missing = self._desired - len(self._staying())
        if missing <= 0 or now < self._next_launch_at:
            return
        for _ in range(missing):
            instance = self._launcher.launch(self.runtime, new_instance_id())
            self._members.append(_Member(instance))
            log.info("instance.launched", instance_id=instance.instance_id, group=self.name)

    def _staying(self) -> list[_Member]:
        return [member for member in self._members if not member.is_leaving]

    def _in_service(self) -> int:
        return sum(member.state is LifecycleState.IN_SERVICE for member in self._staying())
