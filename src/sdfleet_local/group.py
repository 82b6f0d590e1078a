"""The local Auto Scaling group: keeps a number of instances of one runtime alive.

Follows Auto Scaling's rules where they can be seen from outside: lifecycle states, replacement of what died,
capacity rebalancing (the replacement starts at the notice, not at the end of the two minutes), instance refreshes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sdfleet.errors import LocalModeError
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_local.instance import Instance, InstanceDescription, Launcher
from sdfleet_local.member import LifecycleAction, TerminationHook
from sdfleet_local.plan import REGION
from sdfleet_local.refresh_preferences import Preferences
from sdfleet_local.refresh_record import RefreshEvent, RefreshRecord
from sdfleet_local.refresh_run import PATIENCE, AlarmState
from sdfleet_local.refreshes import Refreshes
from sdfleet_local.scaling_description import GroupDescription
from sdfleet_local.scaling_dynamic import DynamicScaling
from sdfleet_local.scaling_errors import ScalingActivityInProgress, ValidationError
from sdfleet_local.scaling_policies import Breach, Policy
from sdfleet_local.scaling_processes import Process, Suspensions
from sdfleet_local.scaling_roster import Roster
from sdfleet_local.scaling_sizes import MAX_SIZE, Sizes
from sdfleet_local.scaling_templates import Configuration, Template, Templates

log = logs.get_logger(__name__)

#: How often the alarms of a refresh are looked at.
ALARM_INTERVAL = timedelta(seconds=1)

#: The state of each of these alarms that exists.
ReadAlarms = Callable[[Sequence[str]], Mapping[str, AlarmState]]


class LocalGroup:
    def __init__(
        self,
        *,
        name: str,
        runtime: str,
        capacity: int,
        configuration: Configuration,
        templates: Templates,
        launcher: Launcher,
        clock: Clock,
        minimum: int = 0,
        maximum: int = MAX_SIZE,
        scaling: DynamicScaling | None = None,
        suspended: Sequence[Process] = (),
        read_alarms: ReadAlarms = lambda _: {},
        on_event: Callable[[RefreshEvent], None] = lambda _: None,
        refresh_patience: timedelta = PATIENCE,
        hook: TerminationHook | None = None,
    ) -> None:
        """`capacity` is the desired one at first.

        `scaling` None: no policies. `suspended`: processes that do not run at first.
        `refresh_patience`: how long a refresh may make no progress before it fails.
        `hook` None: instances are shut down as soon as the group decides.
        """
        self.name = name
        self.runtime = runtime
        self.templates = templates
        self._configuration = configuration
        self.scaling = DynamicScaling() if scaling is None else scaling
        self._suspensions = Suspensions(suspended)
        self._sizes = Sizes(capacity, minimum, maximum)
        self._clock = clock
        self._read_alarms = read_alarms
        self._on_event = on_event
        self.hook = hook
        self._created_at = clock.now()
        self._roster = Roster(name, runtime, launcher=launcher, templates=templates, hook=hook)
        self._refreshes = Refreshes(name, patience=refresh_patience)
        self._alarms: Mapping[str, AlarmState] = {}
        self._next_alarms_at = clock.now()
        self._is_stopping = False
        self._lock = threading.RLock()

    @property
    def deaths_at_boot(self) -> int:
        """Instances in a row that ended before they were in service."""
        return self._roster.pause.deaths

    @property
    def last_words(self) -> str:
        """The last log line of the instance that died at boot last."""
        return self._roster.pause.last_words

    @property
    def is_at_capacity(self) -> bool:
        """Whether as many instances are in service as there should be."""
        with self._lock:
            return self._roster.in_service >= self._sizes.desired

    def count_in_service(self) -> int:
        """Of those that stay."""
        with self._lock:
            return self._roster.in_service

    def instances(self) -> list[Instance]:
        """Those that have a process."""
        with self._lock:
            return [member.instance for member in self._roster.members]

    def describe(self) -> list[InstanceDescription]:
        with self._lock:
            return [member.instance.describe(member.state) for member in self._roster.members]

    def describe_group(self) -> GroupDescription:
        """As Auto Scaling shows it."""
        with self._lock:
            return GroupDescription(
                name=self.name,
                sizes=self._sizes,
                configuration=self._configuration,
                members=tuple(member.to_description() for member in self._roster.members),
                created_at=self._created_at,
                region=REGION,
                scaling=self.scaling,
                suspended=self._suspensions.suspended,
            )

    def has(self, instance_id: str) -> bool:
        with self._lock:
            return any(member.instance_id == instance_id for member in self._roster.members)

    def interrupt(self, instance_id: str) -> datetime:
        """Post a Spot interruption notice; when the instance will be taken away.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            return self._roster.find(instance_id).interrupt(self._clock.now())

    def recommend_rebalance(self, instance_id: str) -> None:
        """Post a rebalance recommendation: the instance goes once its replacement is in service.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            self._roster.find(instance_id).recommend_rebalance(self._clock.now())

    def terminate(self, instance_id: str, *, decrement: bool = False, is_healthy: bool = True) -> None:
        """Let an instance go, as TerminateInstanceInAutoScalingGroup does; it is replaced unless `decrement`.

        Raises:
            LocalModeError: the group has no such instance, or would fall under its minimum.
        """
        with self._lock:
            member = self._roster.find(instance_id)
            if decrement and not member.is_leaving:
                self._sizes = self._sizes.decremented()
            member.is_healthy = is_healthy
            self._roster.terminate(member, self._clock.now())

    def drain(self, instance_id: str) -> None:
        """Raises:
        LocalModeError: the group has no such instance, or it does not answer.
        """
        with self._lock:
            instance = self._roster.find(instance_id).instance
        instance.drain()

    def protect(self, instance_ids: Sequence[str], *, is_protected: bool) -> None:
        """SetInstanceProtection: who is protected is not chosen when the group shrinks.

        Raises:
            LocalModeError: the group lacks one of them; none is changed.
        """
        with self._lock:
            for member in [self._roster.find(instance_id) for instance_id in instance_ids]:
                member.is_protected = is_protected

    def resize(self, *, desired: int | None = None, minimum: int | None = None, maximum: int | None = None) -> None:
        """What is None stays.

        Raises:
            ValidationError: the sizes contradict each other.
        """
        with self._lock:
            self._sizes = self._sizes.changed(desired=desired, minimum=minimum, maximum=maximum)
            log.info("group.resized", group=self.name, desired=self._sizes.desired)

    def answer_alarms(self, breaches: Sequence[Breach]) -> None:
        """Scale by the policies that alarms have set off in one minute."""
        with self._lock:
            if self._is_stopping or self._suspensions.holds(Process.ALARM_NOTIFICATION):
                return
            now = self._clock.now()
            decision = self.scaling.decide(breaches, self._sizes, lambda age: self._roster.count_warm(age, now), now)
            if decision is None:
                return
            self._scale(decision.desired, decision.breach.policy, value=decision.breach.value)

    def execute(self, policy: Policy, adjustment: int, *, honors_cooldown: bool = False) -> None:
        """ExecutePolicy: at once, alarm or none.

        Raises:
            ScalingActivityInProgress: it honours a cooldown that has not ended.
        """
        with self._lock:
            now = self._clock.now()
            self._check_cooldown(now, honors_cooldown=honors_cooldown)
            desired = self.scaling.capacity_after(
                policy, adjustment, self._sizes, lambda age: self._roster.count_warm(age, now)
            )
            self._scale(desired, policy, value=None)

    def suspend(self, processes: Iterable[Process]) -> None:
        with self._lock:
            self._suspensions.suspend(processes)

    def resume(self, processes: Iterable[Process]) -> None:
        with self._lock:
            self._suspensions.resume(processes)

    def reconfigure(self, configuration: Configuration) -> None:
        """What is launched from now on; those there are stay as they are.

        Raises:
            ValidationError: an instance refresh with a desired configuration is active.
        """
        with self._lock:
            if self._refreshes.holds_configuration:
                # Word for word: User Guide, "How an instance refresh works", Update restriction.
                raise ValidationError(
                    "An active instance refresh with a desired configuration exists. All configuration options "
                    "derived from the desired configuration are not available for update while the instance refresh "
                    "is active."
                )
            self._configuration = configuration

    def start_refresh(self, preferences: Preferences, desired: Configuration | None) -> str:
        """Its id. Raises what `Refreshes.start` raises."""
        alarms = self._read_alarms(preferences.alarms) if preferences.alarms else {}
        with self._lock:
            self._alarms = alarms
            pool, now = self._roster.pool(self._sizes.desired), self._clock.now()
            return self._refreshes.start(
                preferences, desired, group=self._configuration, pool=pool, alarms=alarms, now=now
            )

    def cancel_refresh(self, *, waits: bool) -> str:
        """Its id. Raises what `Refreshes.cancel` raises."""
        with self._lock:
            return self._refreshes.cancel(self._clock.now(), waits=waits)

    def roll_back_refresh(self) -> str:
        """Its id. Raises what `Refreshes.roll_back` raises."""
        with self._lock:
            return self._refreshes.roll_back(self._roster.pool(self._sizes.desired), self._clock.now())

    def refreshes(self, ids: Sequence[str] = ()) -> tuple[RefreshRecord, ...]:
        """Newest first."""
        with self._lock:
            return self._refreshes.describe(ids)

    def lifecycle_action(
        self, hook: str, *, instance_id: str | None = None, token: str | None = None
    ) -> LifecycleAction | None:
        """The wait under way for this instance or token; None: there is none.

        Raises:
            LocalModeError: the group has no such hook.
        """
        if self.hook is None or hook != self.hook.name:
            raise LocalModeError(f"There is no lifecycle hook {hook} in group {self.name}.")
        with self._lock:
            return self._roster.action(instance_id=instance_id, token=token, now=self._clock.now())

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
        self._look_at_alarms()
        with self._lock:
            now = self._clock.now()
            before = self._states()
            self._roster.bury_the_dead(now)
            self._roster.note_the_ready(now)
            self._roster.end_the_leaving(self._sizes.desired, now)
            count = self._sizes.desired + (0 if self._is_stopping else self._refresh(now))
            self._roster.shrink(count, now)
            self._roster.grow(count, self._template(), now)
            if self._roster.is_at_rest(count):
                self.scaling.note_rest(now)
            has_changed = before != self._states()
            events = self._refreshes.take_events()
        for event in events:
            self._on_event(event)
        return has_changed

    def stop(self, *, at: datetime) -> None:
        """Launch nothing more; everything that runs has to be gone by `at`, tasks in hand given back.

        An instance that is idle, or not yet in service, has nothing to give back and is ended at once.
        """
        with self._lock:
            self._is_stopping = True
            self._sizes = Sizes(0)
            for member in self._roster.members:
                member.stop(at)

    def _check_cooldown(self, now: datetime, *, honors_cooldown: bool) -> None:
        if honors_cooldown and self.scaling.is_cooling(now):
            # Auto Scaling's own words: "Scaling activity <id> is in progress and blocks this action" [X].
            raise ScalingActivityInProgress(f"The cooldown of group {self.name} is in progress and blocks this action")

    def _scale(self, desired: int, policy: Policy, *, value: float | None) -> None:
        if desired == self._sizes.desired:
            return
        before, self._sizes = self._sizes.desired, replace(self._sizes, desired=desired)
        self.scaling.begin_cooldown(policy)
        log.info("group.scaled", group=self.name, policy=policy.name, value=value, before=before, desired=desired)

    def _look_at_alarms(self) -> None:
        """Without the lock: the endpoint may be busy."""
        now, names = self._clock.now(), self._refreshes.watched_alarms
        if names and now >= self._next_alarms_at:
            self._next_alarms_at = now + ALARM_INTERVAL
            self._alarms = self._read_alarms(names)

    def _refresh(self, now: datetime) -> int:
        """Take a step of the refresh under way; the instances that it wants above the desired capacity."""
        steps, configuration = self._refreshes.tick(self._roster.pool(self._sizes.desired), self._alarms, now)
        for instance_id in steps.terminate:
            self._roster.terminate(self._roster.find(instance_id), now)
        if configuration is not None:
            self._configuration = configuration
        return steps.surplus

    def _template(self) -> Template:
        """What is launched now."""
        if (of_refresh := self._refreshes.template) is not None:
            return of_refresh
        if not self._configuration.specification.is_moving:
            return self._configuration.template
        return self.templates.find(self._configuration.specification)

    def _states(self) -> list[tuple[str, str]]:
        return [(member.instance_id, member.state) for member in self._roster.members]
