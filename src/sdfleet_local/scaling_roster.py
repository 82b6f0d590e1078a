"""A group's instances: who is there, who comes, who goes."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sdfleet.errors import LocalModeError, SdfleetError
from sdfleet.telemetry import logs
from sdfleet_local import scaling_activities as causes
from sdfleet_local.instance import Launcher, LifecycleState, new_instance_id
from sdfleet_local.member import Member
from sdfleet_local.refresh_pace import Pool
from sdfleet_local.scaling_activities import ActivityLog, Status
from sdfleet_local.scaling_hooks import HookBook, HookResult, LifecycleAction, Transition
from sdfleet_local.scaling_pauses import LaunchPause
from sdfleet_local.scaling_processes import Process, Suspensions
from sdfleet_local.scaling_templates import Template, Templates

log = logs.get_logger(__name__)

#: Auto Scaling's words [X].
_DIED_AT_BOOT = "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
#: [U]
_NOT_NEEDED = "Instance was terminated before it was in service"


class Roster:
    """Not safe in threads: the group's lock is held around every call."""

    def __init__(
        self,
        group: str,
        runtime: str,
        *,
        launcher: Launcher,
        templates: Templates,
        hooks: HookBook,
        suspensions: Suspensions,
        reported_hook: str | None,
    ) -> None:
        """`reported_hook`: the launch hook that an instance completes itself once it is ready."""
        self.members: list[Member] = []
        self.pause = LaunchPause()
        self.activities = ActivityLog()
        self.protects_new = False
        self._group = group
        self._runtime = runtime
        self._launcher = launcher
        self._templates = templates
        self._hooks = hooks
        self._suspensions = suspensions
        self._reported_hook = reported_hook
        #: What the next launches make good.
        self._replacements: deque[str] = deque()

    @property
    def staying(self) -> list[Member]:
        """The group's capacity."""
        return [member for member in self.members if not member.is_leaving and not member.is_standby]

    @property
    def in_service(self) -> int:
        """Of those that stay."""
        return sum(member.state is LifecycleState.IN_SERVICE for member in self.staying)

    def count_warm(self, warmup: timedelta, now: datetime) -> int:
        """Those that have been in service for so long."""
        since = (member.in_service_since for member in self.staying)
        return sum(one is not None and now - one >= warmup for one in since)

    def is_at_rest(self, count: int) -> bool:
        """Whether `count` are in service and nobody comes or goes."""
        return sum(not member.is_standby for member in self.members) == count == self.in_service

    def find(self, instance_id: str) -> Member:
        """Raises:
        LocalModeError: there is no such instance.
        """
        for member in self.members:
            if member.instance_id == instance_id:
                return member
        raise LocalModeError(f"There is no instance {instance_id}; `sdfleet local instances` lists them.")

    def action(self, hook: str, *, instance_id: str | None, token: str | None, now: datetime) -> LifecycleAction | None:
        """The wait under way for this hook, and this instance or token."""
        for action in (action for member in self.members for action in member.actions):
            if action.hook.name != hook or action.is_over(now):
                continue
            if instance_id in (None, action.instance_id) and token in (None, action.token):
                return action
        return None

    def pool(self, desired: int) -> Pool:
        remaining = [member for member in self.members if not member.is_leaving]
        pending = sum(member.is_pending for member in remaining)
        return Pool(
            desired=desired,
            instances=tuple(member.to_pool() for member in remaining),
            transitioning=pending + len(self.members) - len(remaining),
            last_words=self.pause.last_words,
            died_at=self.pause.died_at,
        )

    def bury_the_dead(self, now: datetime) -> None:
        for member in [member for member in self.members if not member.instance.is_running]:
            if not member.is_leaving and not self._is_missed(member):
                continue
            self.members.remove(member)
            member.instance.close()
            self._forget_tags(member.instance_id)
            log.info("instance.terminated", instance_id=member.instance_id, last_state=member.state)
            if member.is_pending and not member.is_leaving:
                words = member.instance.last_words()
                self.activities.end(member.instance_id, Status.CANCELLED, now, _DIED_AT_BOOT + words)
                self.pause.note_death(member.template, words, now)
                continue
            if not member.is_terminating:
                self.activities.terminate(member.instance_id, causes.EC2_HEALTH_CHECK, now)
            self.activities.end(member.instance_id, Status.SUCCESSFUL, now)
            if not member.is_leaving:
                self._replacements.append(causes.UNHEALTHY)

    def note_the_ready(self, now: datetime) -> None:
        for member in self.staying:
            if member.state is LifecycleState.PENDING_WAIT:
                self._look_at_launch(member, now)
            elif member.state is LifecycleState.PENDING_PROCEED or (
                member.state is LifecycleState.PENDING and member.instance.is_ready()
            ):
                self.put_into_service(member, now)

    def put_into_service(self, member: Member, now: datetime) -> None:
        member.go_into_service(now)
        self.pause.note_service(member.template)
        self.activities.end(member.instance_id, Status.SUCCESSFUL, now)
        log.info("instance.in_service", instance_id=member.instance_id)

    def replace_the_unhealthy(self, now: datetime) -> None:
        """Health checks skip instances that are pending, and those on standby (User Guide, "Health checks")."""
        if self._suspensions.holds(Process.REPLACE_UNHEALTHY):
            return
        for member in self.staying:
            if (
                not member.is_healthy
                and member.instance.is_running
                and self.terminate(member, now, causes.USER_HEALTH_CHECK)
            ):
                self._replacements.append(causes.UNHEALTHY)

    def note_rebalance(self) -> None:
        """An instance will leave, and its replacement comes before."""
        self._replacements.append(causes.REBALANCE)

    def end_the_leaving(self, desired: int, now: datetime) -> None:
        for member in self.members:
            if member.is_leaving and not member.is_terminating and self.in_service >= desired:
                # Its replacement is in service: the group lets it go.
                self.terminate(member, now, causes.REBALANCE)
            member.go_on(now)

    def terminate(
        self, member: Member, now: datetime, response_to: str, *, shrinks: tuple[int, int] | None = None
    ) -> bool:
        """Whether it goes: it may go already, or the process Terminate be suspended.

        An operator's own word does not ask for the process.
        """
        if member.is_terminating:
            return False
        if response_to != causes.USER_REQUEST and self._suspensions.holds(Process.TERMINATE):
            return False
        if member.is_pending:
            self.activities.end(member.instance_id, Status.CANCELLED, now, _NOT_NEEDED)
        hooks = self._hooks.of(Transition.TERMINATING)
        activity = self.activities.terminate(member.instance_id, response_to, now, shrinks=shrinks)
        activity.status = Status.MID_LIFECYCLE_ACTION if hooks else Status.IN_PROGRESS
        member.begin_termination(now, hooks)
        return True

    def refresh(self, instance_id: str, now: datetime) -> None:
        if self.terminate(self.find(instance_id), now, causes.INSTANCE_REFRESH):
            self._replacements.append(causes.INSTANCE_REFRESH)

    def shrink(self, count: int, now: datetime) -> None:
        """User Guide, "Configure termination policies": the default policy takes the oldest launch template first, and
        never what is protected from scale in. Then ours: the youngest, which has the least in its caches.
        """
        staying = self.staying
        candidates = [member for member in reversed(staying) if not member.is_protected]
        candidates.sort(key=lambda member: int(member.template.version))
        surplus = max(0, len(staying) - count)
        if surplus > len(candidates):
            self.activities.note_protected(now)
        elif surplus == 0:
            self.activities.forget_protected()
        for member in candidates[:surplus]:
            self.terminate(member, now, causes.DIFFERENCE, shrinks=(len(staying), count))

    def grow(self, count: int, template: Template, now: datetime, *, is_refreshed: bool = False) -> None:
        """`is_refreshed`: an instance refresh wants some of them."""
        before = len(self.staying)
        if before >= count:
            self._replacements.clear()
        if before >= count or self._suspensions.holds(Process.LAUNCH) or self.pause.holds(template, now):
            return
        for _ in range(count - before):
            usual = causes.INSTANCE_REFRESH if is_refreshed else causes.DIFFERENCE
            why = self._replacements.popleft() if self._replacements else usual
            instance_id = new_instance_id()
            try:
                self._templates.tag(instance_id, template)
                instance = self._launcher.launch(self._runtime, instance_id, template.release)
            except SdfleetError as error:
                # What EC2 would refuse: a release that is not there, an endpoint that does not answer.
                log.warning("instance.not_launched", group=self._group, release=template.release, reason=str(error))
                failed = self.activities.launch(None, why, now, before=before, after=count)
                failed.end(Status.FAILED, now, f"{error}  Launching EC2 instance failed.")
                self.pause.note_death(template, str(error), now)
                return
            member = Member(instance, template, is_protected=self.protects_new)
            self.members.append(member)
            activity = self.activities.launch(instance_id, why, now, before=before, after=count)
            member.begin_launch(now, self._hooks.of(Transition.LAUNCHING))
            if member.actions:
                activity.status = Status.MID_LIFECYCLE_ACTION
            log.info("instance.launched", instance_id=instance.instance_id, group=self._group, release=template.release)

    def _look_at_launch(self, member: Member, now: datetime) -> None:
        """One that waits for its launch hooks."""
        for action in member.actions:
            if action.hook.name == self._reported_hook and not action.is_over(now) and member.instance.is_ready():
                action.result = HookResult.CONTINUE
        outcome = member.launch_outcome(now)
        if outcome is HookResult.CONTINUE:
            member.state = LifecycleState.PENDING_PROCEED
            self.put_into_service(member, now)
        elif outcome is HookResult.ABANDON:
            culprit = next(one for one in member.actions if one.outcome(now) is HookResult.ABANDON)
            log.warning("instance.abandoned", instance_id=member.instance_id, reason=culprit.abandonment)
            self.activities.end(member.instance_id, Status.CANCELLED, now, culprit.abandonment)
            self.pause.note_death(member.template, culprit.abandonment, now)
            # It has never worked: there is nothing for a termination hook to wait for [U].
            member.begin_termination(now, ())

    def _is_missed(self, member: Member) -> bool:
        """Whether the group sees that an instance has gone, and makes it good."""
        suspended = self._suspensions
        if member.is_standby or suspended.holds(Process.HEALTH_CHECK):
            return False
        member.is_healthy = False
        return not (suspended.holds(Process.REPLACE_UNHEALTHY) or suspended.holds(Process.TERMINATE))

    def _forget_tags(self, instance_id: str) -> None:
        try:
            self._templates.untag(instance_id)
        except SdfleetError as error:
            log.warning("tags.kept", instance_id=instance_id, reason=str(error))
