"""The local Auto Scaling group: keeps a number of instances of one runtime alive.

Follows Auto Scaling's rules where they can be seen from outside: lifecycle states, replacement of what died,
capacity rebalancing (the replacement starts at the notice, not at the end of the two minutes), instance refreshes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_local.group_members import GroupMembers
from sdfleet_local.instance import Launcher
from sdfleet_local.plan import REGION
from sdfleet_local.refresh_preferences import Preferences
from sdfleet_local.refresh_record import RefreshEvent, RefreshRecord
from sdfleet_local.refresh_run import PATIENCE, AlarmState
from sdfleet_local.refreshes import Refreshes
from sdfleet_local.scaling_changes import GroupChange
from sdfleet_local.scaling_description import GroupDescription
from sdfleet_local.scaling_dynamic import DynamicScaling
from sdfleet_local.scaling_errors import ScalingActivityInProgress, ValidationError
from sdfleet_local.scaling_hooks import LifecycleHook
from sdfleet_local.scaling_policies import Breach, Policy
from sdfleet_local.scaling_processes import Process
from sdfleet_local.scaling_sizes import MAX_SIZE, Sizes
from sdfleet_local.scaling_templates import Configuration, Template, Templates

log = logs.get_logger(__name__)

#: How often the alarms of a refresh are looked at.
ALARM_INTERVAL = timedelta(seconds=1)

#: The state of each of these alarms that exists.
ReadAlarms = Callable[[Sequence[str]], Mapping[str, AlarmState]]


class LocalGroup(GroupMembers):
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
        hooks: Sequence[LifecycleHook] = (),
        reported_hook: str | None = None,
    ) -> None:
        """`capacity` is the desired one at first.

        `scaling` None: no policies. `suspended`: processes that do not run at first.
        `refresh_patience`: how long a refresh may make no progress before it fails.
        `reported_hook`: the launch hook that an instance completes itself, once it is ready.
        """
        super().__init__(
            name,
            runtime,
            sizes=Sizes(capacity, minimum, maximum),
            templates=templates,
            launcher=launcher,
            clock=clock,
            hooks=hooks,
            reported_hook=reported_hook,
            suspended=suspended,
        )
        self.templates = templates
        self._configuration = configuration
        self.scaling = DynamicScaling() if scaling is None else scaling
        self._read_alarms = read_alarms
        self._on_event = on_event
        self._created_at = clock.now()
        self._roster.activities.note_desired(
            "a user request created an AutoScalingGroup", 0, capacity, self._created_at
        )
        self._refreshes = Refreshes(name, patience=refresh_patience)
        self._alarms: Mapping[str, AlarmState] = {}
        self._next_alarms_at = clock.now()
        #: Instances above the desired capacity, for the refresh under way.
        self._surplus = 0
        self._is_stopping = False

    @property
    def is_at_capacity(self) -> bool:
        """Whether as many instances are in service as there should be."""
        with self._lock:
            return self._roster.in_service >= self._sizes.desired

    @property
    def configuration(self) -> Configuration:
        with self._lock:
            return self._configuration

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
                grace=self.grace,
                protects_new=self._roster.protects_new,
            )

    def resize(
        self,
        *,
        desired: int | None = None,
        minimum: int | None = None,
        maximum: int | None = None,
        honors_cooldown: bool = False,
    ) -> None:
        """What is None stays.

        Raises:
            ValidationError: the sizes contradict each other.
            ScalingActivityInProgress: it honours a cooldown that has not ended.
        """
        with self._lock:
            now = self._clock.now()
            before, sizes = self._sizes, self._sizes.changed(desired=desired, minimum=minimum, maximum=maximum)
            self._check_cooldown(now, honors_cooldown=honors_cooldown)
            why = "a user request explicitly set group desired capacity"
            if (minimum, maximum) != (None, None):
                limits = f"min: {sizes.minimum}, max: {sizes.maximum}, desired: {sizes.desired}"
                why = f"a user request update of AutoScalingGroup constraints to {limits}"
            self._sizes = sizes
            self._roster.activities.note_desired(why, before.desired, sizes.desired, now)
            log.info("group.resized", group=self.name, desired=self._sizes.desired)

    def update(self, change: GroupChange) -> None:
        """All of it or, when a part is refused, nothing.

        Raises:
            ValidationError: sizes that contradict each other, or a template during an instance refresh.
        """
        with self._lock:
            self._sizes.changed(desired=change.desired, minimum=change.minimum, maximum=change.maximum)
            if change.configuration is not None:
                self.reconfigure(change.configuration)
            if change.has_sizes:
                self.resize(desired=change.desired, minimum=change.minimum, maximum=change.maximum)
            if change.protects_new is not None:
                self._roster.protects_new = change.protects_new
            self.grace = self.grace if change.grace is None else change.grace
            self.scaling.retime(cooldown=change.cooldown, warmup=change.warmup)

    def answer_alarms(self, breaches: Sequence[Breach]) -> None:
        """Scale by the policies that alarms have set off in one minute."""
        with self._lock:
            if self._is_stopping or self._suspensions.holds(Process.ALARM_NOTIFICATION):
                return
            now = self._clock.now()
            decision = self.scaling.decide(breaches, self._sizes, lambda age: self._roster.count_warm(age, now), now)
            if decision is None:
                return
            breach = decision.breach
            why = f"a monitor alarm {breach.alarm} in state ALARM triggered policy {breach.policy.name}"
            self._scale(decision.desired, breach.policy, why, value=breach.value)

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
            self._scale(desired, policy, f"a user request executed policy {policy.name}", value=None)

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

    def tick(self) -> bool:
        """Bring the group closer to what it should be; whether its members changed."""
        self._look_at_alarms()
        with self._lock:
            now = self._clock.now()
            before = self._states()
            roster = self._roster
            roster.bury_the_dead(now)
            roster.note_the_ready(now)
            roster.replace_the_unhealthy(now)
            roster.end_the_leaving(self._sizes.desired, now)
            if not self._is_stopping:
                self._refresh(now)
            count = self._sizes.desired + (0 if self._is_stopping else self._surplus)
            roster.shrink(count, now)
            roster.grow(count, self._template(), now, is_refreshed=self._surplus > 0)
            roster.activities.forget_why()
            if roster.is_at_rest(count):
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

    def _scale(self, desired: int, policy: Policy, why: str, *, value: float | None) -> None:
        if desired == self._sizes.desired:
            return
        before, self._sizes = self._sizes.desired, replace(self._sizes, desired=desired)
        self._roster.activities.note_desired(why, before, desired, self._clock.now())
        self.scaling.begin_cooldown(policy)
        log.info("group.scaled", group=self.name, policy=policy.name, value=value, before=before, desired=desired)

    def _look_at_alarms(self) -> None:
        """Without the lock: the endpoint may be busy."""
        now, names = self._clock.now(), self._refreshes.watched_alarms
        if names and now >= self._next_alarms_at:
            self._next_alarms_at = now + ALARM_INTERVAL
            self._alarms = self._read_alarms(names)

    def _refresh(self, now: datetime) -> None:
        """Take a step of the refresh under way.

        User Guide, "Suspend and resume processes", scenarios 1, 2 and 7: without one of its processes it pauses.
        """
        needed = (Process.INSTANCE_REFRESH, Process.LAUNCH, Process.TERMINATE)
        if any(map(self._suspensions.holds, needed)):
            return
        steps, configuration = self._refreshes.tick(self._roster.pool(self._sizes.desired), self._alarms, now)
        for instance_id in steps.terminate:
            self._roster.refresh(instance_id, now)
        if configuration is not None:
            self._configuration = configuration
        self._surplus = steps.surplus

    def _template(self) -> Template:
        """What is launched now."""
        if (of_refresh := self._refreshes.template) is not None:
            return of_refresh
        if not self._configuration.specification.is_moving:
            return self._configuration.template
        return self.templates.find(self._configuration.specification)

    def _states(self) -> list[tuple[str, str]]:
        return [(member.instance_id, member.state) for member in self._roster.members]
