"""An instance as its group sees it: lifecycle state, termination hook, and the end that somebody announced."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sdfleet.domain import interruption
from sdfleet.telemetry import logs
from sdfleet_local.instance import Instance, LifecycleState
from sdfleet_local.refresh_pace import PoolInstance
from sdfleet_local.scaling_description import MemberDescription
from sdfleet_local.scaling_templates import Template

log = logs.get_logger(__name__)

#: EC2 takes a Spot instance away this long after the notice (EC2 User Guide, "Spot Instance interruption notices").
SPOT_NOTICE = timedelta(seconds=120)
#: systemd's patience with a service that stops.
TERMINATION_PATIENCE = timedelta(seconds=90)


@dataclass(frozen=True)
class TerminationHook:
    """A lifecycle hook on `autoscaling:EC2_INSTANCE_TERMINATING`.

    Its default result is not kept: for an instance that goes, CONTINUE and ABANDON both end it.
    """

    name: str
    #: Not below a Spot notice's two minutes, which have no heartbeats and which an instance may use up.
    heartbeat_timeout: timedelta = SPOT_NOTICE


@dataclass
class LifecycleAction:
    """A group's wait for one instance."""

    instance_id: str
    hook: TerminationHook
    began_at: datetime
    expires_at: datetime
    is_completed: bool = False
    token: str = field(default_factory=lambda: str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)))

    def is_over(self, now: datetime) -> bool:
        return self.is_completed or now >= self.expires_at

    def extend(self, now: datetime) -> None:
        latest = self.began_at + interruption.longest_wait(self.hook.heartbeat_timeout)
        self.expires_at = min(latest, now + self.hook.heartbeat_timeout)


@dataclass
class Member:
    instance: Instance
    #: What it was launched from.
    template: Template
    state: LifecycleState = LifecycleState.PENDING
    #: None: it has not been.
    in_service_since: datetime | None = None
    #: From scale in.
    is_protected: bool = False
    #: What was reported of it last.
    is_healthy: bool = True
    #: It leaves, so it does not count as capacity.
    is_leaving: bool = False
    kill_at: datetime | None = None
    #: The group's wait for it, over or not.
    action: LifecycleAction | None = None

    @property
    def instance_id(self) -> str:
        return self.instance.instance_id

    @property
    def is_terminating(self) -> bool:
        """Whether the group has decided on its end."""
        return self.instance.metadata.target_state == "Terminated" or self.state is LifecycleState.TERMINATING

    def to_pool(self) -> PoolInstance:
        return PoolInstance(self.instance_id, self.template, self.in_service_since, is_protected=self.is_protected)

    def to_description(self) -> MemberDescription:
        return MemberDescription(
            instance_id=self.instance_id,
            state=self.state,
            template=self.template,
            availability_zone=self.instance.metadata.availability_zone,
            is_protected=self.is_protected,
            is_healthy=self.is_healthy,
        )

    def recommend_rebalance(self, now: datetime) -> None:
        """EC2 sees an elevated risk: the group starts a replacement and lets this one go when that is in service."""
        if self.instance.metadata.rebalance_noticed_at is None:
            self.instance.metadata.rebalance_noticed_at = now
            self.is_leaving = True
            log.info("instance.rebalance_recommended", instance_id=self.instance_id)

    def interrupt(self, now: datetime) -> datetime:
        """EC2 announces when it takes the instance away; a second announcement changes nothing."""
        if (announced := self.instance.metadata.interruption_at) is not None:
            return announced
        self.recommend_rebalance(now)
        ends_at = self._end_by(now + SPOT_NOTICE)
        self.instance.metadata.interruption_at = ends_at
        log.info("instance.interrupted", instance_id=self.instance_id, ends_at=ends_at)
        return ends_at

    def begin_termination(self, now: datetime, hook: TerminationHook | None) -> None:
        """The group lets it go: through its hook, or at once without one."""
        if self.is_terminating:
            return
        self.is_leaving = True
        self.instance.metadata.target_state = "Terminated"
        if hook is None:
            self._shut_down(now, LifecycleState.TERMINATING)
            return
        self.action = LifecycleAction(self.instance_id, hook, now, now + hook.heartbeat_timeout)
        self.state = LifecycleState.TERMINATING_WAIT
        log.info("lifecycle_action.begun", instance_id=self.instance_id, hook=hook.name)

    def stop(self, at: datetime) -> None:
        """The deployment ends: gone by `at`, what is in hand given back. Who has nothing in hand goes at once."""
        self.is_leaving = True
        at = self._end_by(at)
        if self.state is LifecycleState.PENDING or self.instance.is_idle():
            self.instance.kill()
            return
        self.instance.metadata.interruption_at = at
        self.instance.terminate()
        if self.state is not LifecycleState.TERMINATING_WAIT:
            self.state = LifecycleState.TERMINATING

    def go_on(self, now: datetime) -> None:
        """Do what is due."""
        if self.kill_at is not None and now >= self.kill_at:
            self.instance.kill()
        elif self.state is LifecycleState.TERMINATING_WAIT and self.action is not None and self.action.is_over(now):
            if not self.action.is_completed:
                log.warning("lifecycle_action.timed_out", instance_id=self.instance_id)
            self._shut_down(now, LifecycleState.TERMINATING_PROCEED)

    def _shut_down(self, now: datetime, state: LifecycleState) -> None:
        self.state = state
        self.instance.terminate()
        self._end_by(now + TERMINATION_PATIENCE)

    def _end_by(self, at: datetime) -> datetime:
        self.kill_at = at if self.kill_at is None else min(self.kill_at, at)
        return self.kill_at
