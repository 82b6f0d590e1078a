"""A group's instances, and what is asked of them one by one: notices, health, protection, standby, hooks, their end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sdfleet.errors import LocalModeError
from sdfleet.ports import Clock
from sdfleet.telemetry import logs
from sdfleet_local import scaling_activities as causes
from sdfleet_local.instance import Instance, InstanceDescription, Launcher, LifecycleState
from sdfleet_local.member import Member
from sdfleet_local.scaling_activities import Activity
from sdfleet_local.scaling_errors import ValidationError
from sdfleet_local.scaling_hooks import HookBook, HookResult, LifecycleAction, LifecycleHook
from sdfleet_local.scaling_processes import Process, Suspensions
from sdfleet_local.scaling_roster import Roster
from sdfleet_local.scaling_sizes import Sizes
from sdfleet_local.scaling_templates import Templates

log = logs.get_logger(__name__)


class GroupMembers:
    def __init__(
        self,
        name: str,
        runtime: str,
        *,
        sizes: Sizes,
        templates: Templates,
        launcher: Launcher,
        clock: Clock,
        hooks: Sequence[LifecycleHook],
        reported_hook: str | None,
        suspended: Sequence[Process],
    ) -> None:
        self.name = name
        self.runtime = runtime
        #: HealthCheckGracePeriod.
        self.grace = timedelta(0)
        self._sizes = sizes
        self._clock = clock
        self._hooks = HookBook(hooks)
        self._suspensions = Suspensions(suspended)
        self._roster = Roster(
            name,
            runtime,
            launcher=launcher,
            templates=templates,
            hooks=self._hooks,
            suspensions=self._suspensions,
            reported_hook=reported_hook,
        )
        self._lock = threading.RLock()

    @property
    def deaths_at_boot(self) -> int:
        """Instances in a row that ended, or were abandoned, before they were in service."""
        return self._roster.pause.deaths

    @property
    def last_words(self) -> str:
        """The last log line of the instance that died at boot last."""
        return self._roster.pause.last_words

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

    def has(self, instance_id: str) -> bool:
        with self._lock:
            return any(member.instance_id == instance_id for member in self._roster.members)

    def activities(self, ids: Sequence[str] = ()) -> list[Activity]:
        """Those under way first, then the newest."""
        with self._lock:
            return self._roster.activities.describe(ids, self._clock.now())

    def interrupt(self, instance_id: str) -> datetime:
        """Post a Spot interruption notice; when the instance will be taken away.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            member = self._roster.find(instance_id)
            self._expect_replacement(member)
            return member.interrupt(self._clock.now())

    def recommend_rebalance(self, instance_id: str) -> None:
        """Post a rebalance recommendation: the instance goes once its replacement is in service.

        Raises:
            LocalModeError: the group has no such instance.
        """
        with self._lock:
            member = self._roster.find(instance_id)
            self._expect_replacement(member)
            member.recommend_rebalance(self._clock.now())

    def terminate(self, instance_id: str, *, decrement: bool = False) -> Activity | None:
        """Let an instance go, as TerminateInstanceInAutoScalingGroup does; it is replaced unless `decrement`.

        None: it goes already.

        Raises:
            LocalModeError: the group has no such instance, or would fall under its minimum.
        """
        with self._lock:
            member = self._roster.find(instance_id)
            before = self._sizes.desired
            if decrement and not member.is_leaving and not member.is_standby:
                self._sizes = self._sizes.decremented()
            shrinks = (before, self._sizes.desired) if self._sizes.desired < before else None
            self._roster.terminate(member, self._clock.now(), causes.USER_REQUEST, shrinks=shrinks)
            return self._roster.activities.under_way(instance_id)

    def set_health(self, instance_id: str, *, is_healthy: bool, respects_grace: bool = True) -> None:
        """SetInstanceHealth: who is not healthy is replaced, but for those in their grace period.

        Raises:
            LocalModeError: the group has no such instance, or it is on its way out.
        """
        with self._lock:
            member = self._roster.find(instance_id)
            if is_healthy and member.is_terminating:
                # User Guide, "Health check considerations": "you get an error [...] probably because the instance is
                # already terminating".
                raise ValidationError(f"Instance {instance_id} is terminating; its health cannot be set to Healthy")
            since = member.in_service_since
            if not is_healthy and respects_grace and since is not None and self._clock.now() - since < self.grace:
                log.info("health.not_changed", instance_id=instance_id, reason="grace period")
                return
            member.is_healthy = is_healthy

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

    def enter_standby(self, instance_ids: Sequence[str], *, decrement: bool) -> list[Activity]:
        """There still, but no part of the capacity; replaced unless `decrement`.

        Raises:
            LocalModeError: one is not there or not in service, or the group would fall under its minimum.
        """
        with self._lock:
            members = [self._roster.find(instance_id) for instance_id in instance_ids]
            _check_state(members, LifecycleState.IN_SERVICE)
            before = self._sizes.desired
            if decrement:
                self._resize_for_standby(-len(members), "place into standby")
            shift = (before, self._sizes.desired)
            now, log_ = self._clock.now(), self._roster.activities
            for member in members:
                member.go_into_standby()
            return [log_.move(one.instance_id, to_standby=True, capacities=shift, now=now) for one in members]

    def exit_standby(self, instance_ids: Sequence[str]) -> list[Activity]:
        """Back into service; "the desired capacity is incremented".

        Raises:
            LocalModeError: one is not there or not on standby, or the group would exceed its maximum.
        """
        with self._lock:
            members = [self._roster.find(instance_id) for instance_id in instance_ids]
            _check_state(members, LifecycleState.STANDBY)
            if self._suspensions.holds(Process.LAUNCH):
                raise ValidationError("The process Launch is suspended; resume it to put instances back in service")
            before = self._sizes.desired
            self._resize_for_standby(len(members), "move out of standby")
            shift = (before, self._sizes.desired)
            now, log_ = self._clock.now(), self._roster.activities
            for member in members:
                member.go_into_service(now)
            return [log_.move(one.instance_id, to_standby=False, capacities=shift, now=now) for one in members]

    def suspend(self, processes: Sequence[Process]) -> None:
        with self._lock:
            self._suspensions.suspend(processes)

    def resume(self, processes: Sequence[Process]) -> None:
        with self._lock:
            self._suspensions.resume(processes)

    def hooks(self) -> tuple[LifecycleHook, ...]:
        with self._lock:
            return self._hooks.all()

    def put_hook(self, hook: LifecycleHook) -> None:
        """Raises:
        LimitExceeded: the group has fifty.
        """
        with self._lock:
            self._hooks.put(hook)

    def delete_hook(self, name: str) -> None:
        """DeleteLifecycleHook: "If there are any outstanding lifecycle actions, they are completed first (ABANDON for
        launching instances, CONTINUE for terminating instances)."
        """
        with self._lock:
            for member in self._roster.members:
                for action in member.actions:
                    if action.hook.name == name and action.result is None:
                        action.result = HookResult.ABANDON if member.is_pending else HookResult.CONTINUE
            self._hooks.delete(name)

    def lifecycle_action(
        self, hook: str, *, instance_id: str | None = None, token: str | None = None
    ) -> LifecycleAction | None:
        """The wait under way for this instance or token; None: there is none.

        Raises:
            LocalModeError: the group has no such hook.
        """
        with self._lock:
            if self._hooks.find(hook) is None:
                raise LocalModeError(f"There is no lifecycle hook {hook} in group {self.name}.")
            return self._roster.action(hook, instance_id=instance_id, token=token, now=self._clock.now())

    def complete(self, action: LifecycleAction, result: HookResult = HookResult.CONTINUE) -> None:
        with self._lock:
            action.result = result
            waited = self._clock.now() - action.began_at
            log.info(
                "lifecycle_action.completed",
                instance_id=action.instance_id,
                result=result,
                waited_s=waited.total_seconds(),
            )

    def extend(self, action: LifecycleAction) -> None:
        with self._lock:
            action.extend(self._clock.now())
            log.info("lifecycle_action.extended", instance_id=action.instance_id, until=action.expires_at)

    def _expect_replacement(self, member: Member) -> None:
        if not member.is_leaving and not member.is_standby:
            self._roster.note_rebalance()

    def _resize_for_standby(self, change: int, purpose: str) -> None:
        """Raises:
        ValidationError: beyond a limit. The text is Auto Scaling's [X].
        """
        sizes = self._sizes
        desired = sizes.desired + change
        if not sizes.minimum <= desired <= sizes.maximum:
            count = f"{abs(change)} instance{'' if abs(change) == 1 else 's'}"
            raise ValidationError(
                f"AutoScalingGroup {self.name} has min-size={sizes.minimum}, max-size={sizes.maximum}, and "
                f"desired-size={sizes.desired}. To {purpose} {count}, please update the AutoScalingGroup sizes "
                "appropriately."
            )
        self._sizes = replace(sizes, desired=desired)


def _check_state(members: Sequence[Member], state: LifecycleState) -> None:
    for member in members:
        if member.state is not state or member.is_leaving:
            raise ValidationError(f"The instance {member.instance_id} is not in {state.value}.")
