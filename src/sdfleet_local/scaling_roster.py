"""A group's instances: who is there, who comes, who goes."""

from __future__ import annotations

from datetime import datetime, timedelta

from sdfleet.errors import LocalModeError, SdfleetError
from sdfleet.telemetry import logs
from sdfleet_local.instance import Launcher, LifecycleState, new_instance_id
from sdfleet_local.member import LifecycleAction, Member, TerminationHook
from sdfleet_local.refresh_pace import Pool
from sdfleet_local.scaling_pauses import LaunchPause
from sdfleet_local.scaling_templates import Template, Templates

log = logs.get_logger(__name__)


class Roster:
    """Not safe in threads: the group's lock is held around every call."""

    def __init__(
        self, group: str, runtime: str, *, launcher: Launcher, templates: Templates, hook: TerminationHook | None
    ) -> None:
        self.members: list[Member] = []
        self.pause = LaunchPause()
        self._group = group
        self._runtime = runtime
        self._launcher = launcher
        self._templates = templates
        self._hook = hook

    @property
    def staying(self) -> list[Member]:
        return [member for member in self.members if not member.is_leaving]

    @property
    def in_service(self) -> int:
        """Of those that stay."""
        return sum(member.state is LifecycleState.IN_SERVICE for member in self.staying)

    def count_warm(self, warmup: timedelta, now: datetime) -> int:
        """Those that have been in service for so long."""
        since = (member.in_service_since for member in self.staying)
        return sum(one is not None and now - one >= warmup for one in since)

    def is_at_rest(self, count: int) -> bool:
        """Whether `count` are in service and nothing else is there."""
        return len(self.members) == count == self.in_service

    def find(self, instance_id: str) -> Member:
        """Raises:
        LocalModeError: there is no such instance.
        """
        for member in self.members:
            if member.instance_id == instance_id:
                return member
        raise LocalModeError(f"There is no instance {instance_id}; `sdfleet local instances` lists them.")

    def action(self, *, instance_id: str | None, token: str | None, now: datetime) -> LifecycleAction | None:
        """The wait under way for this instance or token."""
        for member in self.members:
            action = member.action
            if action is None or action.is_over(now):
                continue
            if instance_id in (None, action.instance_id) and token in (None, action.token):
                return action
        return None

    def pool(self, desired: int) -> Pool:
        staying = self.staying
        pending = sum(member.state is LifecycleState.PENDING for member in staying)
        return Pool(
            desired=desired,
            instances=tuple(member.to_pool() for member in staying),
            transitioning=pending + len(self.members) - len(staying),
            last_words=self.pause.last_words,
        )

    def bury_the_dead(self, now: datetime) -> None:
        for member in [member for member in self.members if not member.instance.is_running]:
            self.members.remove(member)
            member.instance.close()
            self._forget_tags(member.instance_id)
            log.info("instance.terminated", instance_id=member.instance_id, last_state=member.state)
            if member.state is LifecycleState.PENDING and not member.is_leaving:
                self.pause.note_death(member.template, member.instance.last_words(), now)

    def note_the_ready(self, now: datetime) -> None:
        for member in self.staying:
            if member.state is LifecycleState.PENDING and member.instance.is_ready():
                member.state, member.in_service_since = LifecycleState.IN_SERVICE, now
                self.pause.note_service(member.template)
                log.info("instance.in_service", instance_id=member.instance_id)

    def end_the_leaving(self, desired: int, now: datetime) -> None:
        for member in self.members:
            if member.is_leaving and not member.is_terminating and self.in_service >= desired:
                # Its replacement is in service: the group lets it go.
                member.begin_termination(now, self._hook)
            member.go_on(now)

    def terminate(self, member: Member, now: datetime) -> None:
        member.begin_termination(now, self._hook)

    def shrink(self, count: int, now: datetime) -> None:
        """User Guide, "Configure termination policies": the default policy takes the oldest launch template first, and
        never what is protected from scale in. Then ours: the youngest, which has the least in its caches.
        """
        staying = self.staying
        candidates = [member for member in reversed(staying) if not member.is_protected]
        candidates.sort(key=lambda member: int(member.template.version))
        for member in candidates[: max(0, len(staying) - count)]:
            member.begin_termination(now, self._hook)

    def grow(self, count: int, template: Template, now: datetime) -> None:
        missing = count - len(self.staying)
        if missing <= 0 or self.pause.holds(template, now):
            return
        for _ in range(missing):
            instance_id = new_instance_id()
            try:
                self._templates.tag(instance_id, template)
                instance = self._launcher.launch(self._runtime, instance_id, template.release)
            except SdfleetError as error:
                # What EC2 would refuse: a release that is not there, an endpoint that does not answer.
                log.warning("instance.not_launched", group=self._group, release=template.release, reason=str(error))
                self.pause.note_death(template, str(error), now)
                return
            self.members.append(Member(instance, template))
            log.info("instance.launched", instance_id=instance.instance_id, group=self._group, release=template.release)

    def _forget_tags(self, instance_id: str) -> None:
        try:
            self._templates.untag(instance_id)
        except SdfleetError as error:
            log.warning("tags.kept", instance_id=instance_id, reason=str(error))
