"""The local Auto Scaling group: keeps a number of instances of one runtime alive.

Follows Auto Scaling's rules where they can be seen from outside: lifecycle states, replacement of what died,
capacity rebalancing (the replacement starts at the notice, not at the end of the two minutes).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sdfleet.domain import scaling
from sdfleet.errors import LocalModeError, SdfleetError
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_local.instance import Instance, InstanceDescription, Launcher, LifecycleState, new_instance_id
from sdfleet_local.member import LifecycleAction, Member, TerminationHook

log = logs.get_logger(__name__)

#: Instances that die at boot are replaced more and more slowly: the first at once, then after these.
FIRST_BACKOFF = timedelta(seconds=1)
LONGEST_BACKOFF = timedelta(seconds=30)
#: A group that may sleep has one instance or none.
_SLEEPER = scaling.Limits(0, scaling.WAKE_CAPACITY)
#: How often a sleeping group looks at its queue: the fast scaler's seconds.
DEPTH_INTERVAL = timedelta(seconds=1)


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
        sleep_after: timedelta = scaling.DEFAULT_IDLE_AFTER,
        hook: TerminationHook | None = None,
    ) -> None:
        """`capacity` 0: starts at zero, one instance comes with the first message and goes after `sleep_after`.

        `depth` counts the messages in the group's queue, those in flight too.
        `hook` None: instances are shut down as soon as the group decides.
        """
        self.name = name
        self.runtime = runtime
        self._may_sleep = capacity == 0
        self._desired = capacity
        self._launcher = launcher
        self._clock = clock
        self._depth = depth
        self._sleep_after = sleep_after
        self._hook = hook
        self._members: list[Member] = []
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

    def has(self, instance_id: str) -> bool:
        with self._lock:
            return any(member.instance_id == instance_id for member in self._members)

    def interrupt(self, instance_id: str) -> datetime:
        """Post a Spot interruption notice; when the instance will be taken away.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            return self._member(instance_id).interrupt(self._clock.now())

    def recommend_rebalance(self, instance_id: str) -> None:
        """Post a rebalance recommendation: the instance goes once its replacement is in service.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            self._member(instance_id).recommend_rebalance(self._clock.now())

    def terminate(self, instance_id: str, *, decrement: bool = False) -> None:
        """Let an instance go, as TerminateInstanceInAutoScalingGroup does; it is replaced unless `decrement`.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            member = self._member(instance_id)
            if decrement and not member.is_leaving:
                self._desired = max(0, self._desired - 1)
            member.begin_termination(self._clock.now(), self._hook)

    def drain(self, instance_id: str) -> None:
        """Raises:
        LocalModeError: the group has no such instance, or it does not answer.
        """
        with self._lock:
            instance = self._member(instance_id).instance
        instance.drain()

    def lifecycle_action(
        self, hook: str, *, instance_id: str | None = None, token: str | None = None
    ) -> LifecycleAction | None:
        """The wait under way for this instance or token; None: there is none.

        Raises:
            LocalModeError: the group has no such hook.
        """
        if self._hook is None or hook != self._hook.name:
            raise LocalModeError(f"There is no lifecycle hook {hook} in group {self.name}.")
        with self._lock:
            now = self._clock.now()
            for member in self._members:
                action = member.action
                if action is None or action.is_over(now):
                    continue
                if instance_id in (None, action.instance_id) and token in (None, action.token):
                    return action
            return None

    def complete(self, action: LifecycleAction) -> None:
        with self._lock:
            action.is_completed = True
            waited = self._clock.now() - action.began_at
            log.info("lifecycle_action.completed", instance_id=action.instance_id, waited_s=waited.total_seconds())

    def extend(self, action: LifecycleAction) -> None:
        with self._lock:
            action.extend(self._clock.now())
            log.info("lifecycle_action.extended", instance_id=action.instance_id, until=action.expires_at)

    def tick(self) -> bool:
        """Bring the group closer to what it should be; whether its members changed."""
        with self._lock:
            now = self._clock.now()
            before = [(member.instance_id, member.state) for member in self._members]
            self._bury_the_dead(now)
            self._note_the_ready()
            self._end_the_leaving(now)
            if self._may_sleep:
                self._scale(now)
            self._shrink(now)
            self._grow(now)
            return before != [(member.instance_id, member.state) for member in self._members]

    def stop(self, *, at: datetime) -> None:
        """Launch nothing more; everything that runs has to be gone by `at`, tasks in hand given back.

        An instance that is idle, or not yet in service, has nothing to give back and is ended at once.
        """
        with self._lock:
            self._desired = 0
            self._may_sleep = False
            for member in self._members:
                member.stop(at)

    def _bury_the_dead(self, now: datetime) -> None:
        for member in [member for member in self._members if not member.instance.is_running]:
            self._members.remove(member)
            member.instance.close()
            log.info("instance.terminated", instance_id=member.instance_id, last_state=member.state)
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
                log.info("instance.in_service", instance_id=member.instance_id)

    def _end_the_leaving(self, now: datetime) -> None:
        for member in self._members:
            if member.is_leaving and not member.is_terminating and self.is_at_capacity:
                # Its replacement is in service: the group lets it go.
                member.begin_termination(now, self._hook)
            member.go_on(now)

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
        # Counted as waiting, those in flight too: whose instance was taken away comes back to the queue.
        if scaling.wakes(capacity=self._desired, visible=depth):
            desired = scaling.WAKE_CAPACITY
        else:
            desired = scaling.stepped_down(
                _SLEEPER,
                capacity=self._desired,
                visible=depth,
                in_flight=0,
                empty_for=now - self._busy_at,
                idle_after=self._sleep_after,
            )
        if desired != self._desired:
            log.info("group.scaled", group=self.name, desired=desired, depth=depth)
            self._desired = desired

    def _shrink(self, now: datetime) -> None:
        staying = self._staying()
        for member in staying[self._desired :]:
            member.begin_termination(now, self._hook)

    def _grow(self, now: datetime) -> None:
        missing = self._desired - len(self._staying())
        if missing <= 0 or now < self._next_launch_at:
            return
        for _ in range(missing):
            instance = self._launcher.launch(self.runtime, new_instance_id())
            self._members.append(Member(instance))
            log.info("instance.launched", instance_id=instance.instance_id, group=self.name)

    def _member(self, instance_id: str) -> Member:
        for member in self._members:
            if member.instance_id == instance_id:
                return member
        raise LocalModeError(f"There is no instance {instance_id}; `sdfleet local instances` lists them.")

    def _staying(self) -> list[Member]:
        return [member for member in self._members if not member.is_leaving]

    def _in_service(self) -> int:
        return sum(member.state is LifecycleState.IN_SERVICE for member in self._staying())
