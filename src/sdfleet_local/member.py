"""An instance as its group sees it: lifecycle state, hooks, and the end that somebody announced.

::

    Pending ──▶ Pending:Wait ──▶ Pending:Proceed ──▶ InService ◀──▶ Standby
       │             │ abandoned                         │
       │             ▼                                   ▼
       └──────▶ Terminating ◀──────── Terminating:Wait ◀─┘   ──▶ Terminating:Proceed ──▶ gone

User Guide, "Amazon EC2 Auto Scaling instance lifecycle". Without a launch hook an instance is Pending until it is
ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sdfleet.telemetry import logs
from sdfleet_local.instance import Instance, LifecycleState
from sdfleet_local.refresh_pace import PoolInstance
from sdfleet_local.scaling_description import MemberDescription
from sdfleet_local.scaling_hooks import HookResult, LifecycleAction, LifecycleHook, outcome_of
from sdfleet_local.scaling_templates import Template

log = logs.get_logger(__name__)

#: EC2 takes a Spot instance away this long after the notice (EC2 User Guide, "Spot Instance interruption notices").
SPOT_NOTICE = timedelta(seconds=120)
#: systemd's patience with a service that stops.
TERMINATION_PATIENCE = timedelta(seconds=90)


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
    #: The group's waits for it since its last transition began, over or not.
    actions: list[LifecycleAction] = field(default_factory=list)

    @property
    def instance_id(self) -> str:
        return self.instance.instance_id

    @property
    def is_terminating(self) -> bool:
        """Whether the group has decided on its end."""
        return self.instance.metadata.target_state == "Terminated" or self.state is LifecycleState.TERMINATING

    @property
    def is_pending(self) -> bool:
        """Whether it has never been in service."""
        return self.state in (LifecycleState.PENDING, LifecycleState.PENDING_WAIT, LifecycleState.PENDING_PROCEED)

    @property
    def is_standby(self) -> bool:
        return self.state is LifecycleState.STANDBY

    def to_pool(self) -> PoolInstance:
        return PoolInstance(
            self.instance_id,
            self.template,
            self.in_service_since,
            is_protected=self.is_protected,
            is_standby=self.is_standby,
        )

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

    def begin_launch(self, now: datetime, hooks: Sequence[LifecycleHook]) -> None:
        if hooks:
            self._wait(LifecycleState.PENDING_WAIT, hooks, now)

    def go_into_service(self, now: datetime) -> None:
        self.state, self.in_service_since = LifecycleState.IN_SERVICE, now
        self.instance.metadata.target_state = "InService"

    def go_into_standby(self) -> None:
        self.state = LifecycleState.STANDBY
        self.instance.metadata.target_state = "Standby"

    def begin_termination(self, now: datetime, hooks: Sequence[LifecycleHook]) -> None:
        """The group lets it go: through its hooks, or at once without any."""
        if self.is_terminating:
            return
        self.is_leaving = True
        self.instance.metadata.target_state = "Terminated"
        if hooks:
            self._wait(LifecycleState.TERMINATING_WAIT, hooks, now)
        else:
            self._shut_down(now, LifecycleState.TERMINATING)

    def stop(self, at: datetime) -> None:
        """The deployment ends: gone by `at`, what is in hand given back. Who has nothing in hand goes at once."""
        self.is_leaving = True
        at = self._end_by(at)
        if self.is_pending or self.instance.is_idle():
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
        elif self.state is LifecycleState.TERMINATING_WAIT and outcome_of(self.actions, now) is not None:
            # CompleteLifecycleAction: "If the instance is terminating, both abandon and continue allow the instance to
            # terminate."
            if any(action.result is None for action in self.actions):
                log.warning("lifecycle_action.timed_out", instance_id=self.instance_id)
            self._shut_down(now, LifecycleState.TERMINATING_PROCEED)

    def launch_outcome(self, now: datetime) -> HookResult | None:
        """Of its launch hooks; None: it waits for one."""
        return outcome_of(self.actions, now)

    def _wait(self, state: LifecycleState, hooks: Sequence[LifecycleHook], now: datetime) -> None:
        self.state = state
        self.actions = [LifecycleAction.begun(self.instance_id, hook, now) for hook in hooks]
        for hook in hooks:
            log.info("lifecycle_action.begun", instance_id=self.instance_id, hook=hook.name)

    def _shut_down(self, now: datetime, state: LifecycleState) -> None:
        self.state = state
        self.instance.terminate()
        self._end_by(now + TERMINATION_PATIENCE)

    def _end_by(self, at: datetime) -> datetime:
        self.kill_at = at if self.kill_at is None else min(self.kill_at, at)
        return self.kill_at
