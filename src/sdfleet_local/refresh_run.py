"""One instance refresh from start to end, as a state machine over what is in the group.

::

    Pending ──▶ InProgress ──▶ Baking ──▶ Successful
                    │             │
        alarm, stall, rollback ───┤──▶ RollbackInProgress ──▶ RollbackSuccessful | RollbackFailed
                    │             └──▶ Failed                 (without AutoRollback)
                    └──▶ Cancelling ──▶ Cancelled             (a rollback can be cancelled too)

Sources: User Guide, "How an instance refresh works" ("Guide"), "Add checkpoints to an instance refresh"
("Checkpoints"), "Undo changes with a manual or auto rollback" ("Rollback"), "Cancel an instance refresh" ("Cancel");
API reference, InstanceRefresh ("API"). [U]: not documented, ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from sdfleet.domain.instance_refresh import RefreshStatus
from sdfleet_local.refresh_pace import Pool, Progress, Steps, bounds, next_steps, progress
from sdfleet_local.refresh_record import CHECKPOINT_REACHED, EVENTS, RefreshEvent, RefreshRecord, Rollback
from sdfleet_local.scaling_errors import IrreversibleInstanceRefresh
from sdfleet_local.scaling_templates import Configuration

#: Guide, One-hour timeout: instances that cannot be replaced, or new ones that do not come into service.
PATIENCE = timedelta(hours=1)
#: Guide, Total duration.
LONGEST = timedelta(days=14)


class AlarmState(StrEnum):
    """CloudWatch's."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class RefreshRun:
    def __init__(
        self, record: RefreshRecord, former: Configuration, pool: Pool, *, patience: timedelta = PATIENCE
    ) -> None:
        """`former` is the group's configuration, `pool` the group at the start."""
        self.record = record
        self.events: list[RefreshEvent] = []
        self._former = former
        self._target = (record.desired or former).template
        self._patience = patience
        self._original = frozenset(one.instance_id for one in pool.instances)
        self._olds = frozenset(
            one.instance_id
            for one in pool.instances
            # Guide, Skip matching: those of the template version that is rolled out stay.
            if not (record.preferences.skip_matching and one.template == self._target)
        )
        self._reached = 0
        self._waits_until: datetime | None = None
        self._total_at_checkpoint = 0
        self._progress_at = record.created_at
        self._updated = -1
        self._to_roll_back = 1

    @property
    def launches_target(self) -> bool:
        """Guide, Desired configuration: scale-out during a refresh launches it. Replacements do so too [U]."""
        return self.record.status in (RefreshStatus.IN_PROGRESS, RefreshStatus.BAKING)

    @property
    def target(self) -> Configuration:
        """What the group has after a success."""
        return self.record.desired or self._former

    def tick(self, pool: Pool, alarms: Mapping[str, AlarmState], now: datetime) -> Steps:
        match self.record.status:
            case RefreshStatus.PENDING:
                self._begin(pool, now)
            case RefreshStatus.IN_PROGRESS:
                return self._go_on(pool, alarms, now)
            case RefreshStatus.BAKING:
                self._bake(pool, alarms, now)
            case RefreshStatus.ROLLBACK_IN_PROGRESS:
                return self._go_back(pool, now)
            case RefreshStatus.CANCELLING:
                # Cancel: "waits for any in-flight launches and terminations to complete".
                if pool.transitioning == 0:
                    self._move(RefreshStatus.CANCELLED, now)
                return _as_it_is(pool)
        return Steps()

    def cancel(self, now: datetime, *, waits: bool) -> None:
        """Cancel: nothing is rolled back. `waits`: WaitForTransitioningInstances."""
        reason = "Cancelled due to user request."
        self._move(RefreshStatus.CANCELLING if waits else RefreshStatus.CANCELLED, now, reason)

    def roll_back(self, pool: Pool, now: datetime, reason: str) -> None:
        """Raises:
        IrreversibleInstanceRefresh: there is no configuration to go back to.
        """
        if self.record.status not in (RefreshStatus.PENDING, RefreshStatus.IN_PROGRESS, RefreshStatus.BAKING):
            raise IrreversibleInstanceRefresh(
                f"The instance refresh is {self.record.status.value} and cannot be rolled back."
            )
        if self.record.desired is None:
            raise IrreversibleInstanceRefresh("The instance refresh has no desired configuration to roll back.")
        if not self._former.can_be_returned_to:
            # Rollback, Considerations: a numbered version, and no AMI alias.
            raise IrreversibleInstanceRefresh(
                "The launch template version of the Auto Scaling group is $Latest or $Default, or its AMI is an alias."
            )
        # API: "replaces any instances that were replaced during the instance refresh"; those that matched before
        # it began stay as they are.
        self._olds = frozenset(one.instance_id for one in pool.instances) - self._original
        self._to_roll_back = max(1, len(self._olds))
        rollback = Rollback(reason, now, self.record.percentage, self.record.to_update)
        self.record = replace(self.record, rollback=rollback)
        self._progress_at, self._updated = now, -1
        self._move(RefreshStatus.ROLLBACK_IN_PROGRESS, now, reason)

    def _begin(self, pool: Pool, now: datetime) -> None:
        self.record = replace(self.record, started_at=now)
        self._progress_at = now
        if pool.desired == 0:
            # Nothing to replace: it is over at once.
            self.record = replace(self.record, percentage=100)
            self._move(RefreshStatus.SUCCESSFUL, now)
            return
        self._show(self._progress(pool, now))
        self._move(RefreshStatus.IN_PROGRESS, now)

    def _go_on(self, pool: Pool, alarms: Mapping[str, AlarmState], now: datetime) -> Steps:
        if self._is_turned_back(pool, alarms, now):
            return _as_it_is(pool)
        state = self._progress(pool, now)
        self._show(state)
        self._note_progress(state, now)
        if self._waits(state, now):
            return Steps()
        if state.has_reached(self._next_checkpoint()) and self._take_checkpoint(pool, state, now):
            return Steps()
        if any(alarms.get(name) is AlarmState.INSUFFICIENT_DATA for name in self.record.preferences.alarms):
            # Rollback: "Amazon EC2 Auto Scaling cannot replace instances until new data points are found".
            self._say("Waiting for CloudWatch alarms that have insufficient data.")
            return _as_it_is(pool)
        if self._is_stuck(now):
            self._fail(pool, now, self._stuck_reason(pool, state))
            return _as_it_is(pool)
        return self._steps(pool, state, self._next_checkpoint(), now)

    def _bake(self, pool: Pool, alarms: Mapping[str, AlarmState], now: datetime) -> None:
        if self._is_turned_back(pool, alarms, now):
            return
        if self._waits_until is not None and now >= self._waits_until:
            self._move(RefreshStatus.SUCCESSFUL, now)

    def _go_back(self, pool: Pool, now: datetime) -> Steps:
        state = self._progress(pool, now)
        self._note_progress(state, now)
        rollback = self.record.rollback
        if rollback is not None:
            # API: "This value gradually goes back down to zero during a rollback."
            left = rollback.percentage * len(state.olds) // self._to_roll_back
            self.record = replace(self.record, percentage=left)
        if state.has_reached(100):
            self._move(RefreshStatus.ROLLBACK_SUCCESSFUL, now)
            return Steps()
        if self._is_stuck(now):
            self._move(RefreshStatus.ROLLBACK_FAILED, now, self._stuck_reason(pool, state))
            return _as_it_is(pool)
        return self._steps(pool, state, 100, now)

    def _is_turned_back(self, pool: Pool, alarms: Mapping[str, AlarmState], now: datetime) -> bool:
        ringing = [name for name in self.record.preferences.alarms if alarms.get(name) is AlarmState.ALARM]
        if ringing:
            self._fail(pool, now, f"CloudWatch alarms in ALARM state: {', '.join(ringing)}")
        elif self.record.started_at is not None and now - self.record.started_at >= LONGEST:
            self._fail(pool, now, "The instance refresh took longer than 14 days.")
        else:
            return False
        return True

    def _fail(self, pool: Pool, now: datetime, reason: str) -> None:
        """Rollback: by itself if AutoRollback says so; else "the instance refresh fails without rolling back"."""
        if self.record.preferences.auto_rollback and self._former.can_be_returned_to:
            self.roll_back(pool, now, reason)
        else:
            self._move(RefreshStatus.FAILED, now, reason)

    def _waits(self, state: Progress, now: datetime) -> bool:
        """Whether it pauses at a checkpoint."""
        if self._waits_until is None:
            return False
        if state.total > self._total_at_checkpoint and not state.has_reached(self._reached):
            # Checkpoints: after a scale-out "an in progress operation could reach a checkpoint again".
            self._waits_until, self._reached = None, 0
            return False
        if now < self._waits_until:
            return True
        self._waits_until = None
        self._progress_at = now
        return False

    def _take_checkpoint(self, pool: Pool, state: Progress, now: datetime) -> bool:
        """Whether one was taken. Checkpoints: a lower one that was passed with it is skipped."""
        preferences = self.record.preferences
        reached = max(one for one in self._checkpoints() if state.has_reached(one))
        if reached == preferences.target and preferences.standby != "Ignore" and self._standby(pool):
            self._say("Waiting for instances in Standby.")
            return False
        self._reached = reached
        if reached < 100:
            # Checkpoints: events "for each checkpoint except for the 100 percent complete checkpoint".
            delay = str(int(preferences.checkpoint_delay.total_seconds()))
            self._tell(CHECKPOINT_REACHED, now, checkpoint=str(reached), checkpoint_delay=delay)
        if reached < preferences.target:
            self._waits_until = now + preferences.checkpoint_delay
            self._total_at_checkpoint = state.total
            return True
        if preferences.bake:
            self._waits_until = now + preferences.bake
            self._move(RefreshStatus.BAKING, now)
        else:
            self._move(RefreshStatus.SUCCESSFUL, now)
        return True

    def _steps(self, pool: Pool, state: Progress, percentage: int, now: datetime) -> Steps:
        preferences = self.record.preferences
        limits = bounds(pool.desired, preferences.min_healthy, preferences.max_healthy)
        held = self._protected(pool) if preferences.scale_in_protected == "Wait" else frozenset()
        steps = next_steps(pool, state, percentage, limits, held_ids=held, warmup=preferences.warmup, now=now)
        if preferences.standby == "Terminate":
            steps = replace(steps, terminate=(*steps.terminate, *sorted(self._standby(pool))))
        return steps

    def _progress(self, pool: Pool, now: datetime) -> Progress:
        preferences = self.record.preferences
        spared = self._protected(pool) if preferences.scale_in_protected == "Ignore" else frozenset()
        return progress(pool, self._olds, spared, warmup=preferences.warmup, now=now)

    def _protected(self, pool: Pool) -> frozenset[str]:
        return frozenset(one.instance_id for one in pool.instances if one.is_protected) & self._olds

    def _standby(self, pool: Pool) -> frozenset[str]:
        return frozenset(one.instance_id for one in pool.instances if one.is_standby) & self._olds

    def _checkpoints(self) -> tuple[int, ...]:
        """Those ahead."""
        return tuple(one for one in (self.record.preferences.checkpoints or (100,)) if one > self._reached) or (
            self.record.preferences.target,
        )

    def _next_checkpoint(self) -> int:
        return self._checkpoints()[0]

    def _note_progress(self, state: Progress, now: datetime) -> None:
        if state.updated > self._updated:
            self._progress_at = now
        self._updated = state.updated

    def _is_stuck(self, now: datetime) -> bool:
        return now - self._progress_at >= self._patience + self.record.preferences.warmup

    def _stuck_reason(self, pool: Pool, state: Progress) -> str:
        if self._protected(pool) and self.record.preferences.scale_in_protected == "Wait":
            return "Instances that are protected from scale in were not released in time."
        if self.record.preferences.standby == "Wait" and self._standby(pool):
            return "Instances in Standby were not returned to service in time."
        is_of_ours = pool.died_at is not None and pool.died_at >= self.record.created_at
        words = f" The last that died at boot said: {pool.last_words}" if is_of_ours else ""
        return f"New instances did not come into service; {state.to_update} are missing.{words}"

    def _show(self, state: Progress) -> None:
        self.record = replace(self.record, percentage=state.percentage, to_update=state.to_update)

    def _say(self, reason: str) -> None:
        self.record = replace(self.record, reason=reason)

    def _move(self, status: RefreshStatus, now: datetime, reason: str = "") -> None:
        ended_at = now if status.is_over else None
        self.record = replace(
            self.record, status=status, reason=reason or self._lasting_reason(status), ended_at=ended_at
        )
        if status in EVENTS:
            self._tell(EVENTS[status], now)

    def _lasting_reason(self, status: RefreshStatus) -> str:
        """Why a rollback or a cancellation began stays readable when it is over."""
        came_of_it = (RefreshStatus.CANCELLED, RefreshStatus.ROLLBACK_SUCCESSFUL)
        return self.record.reason if status in came_of_it else ""

    def _tell(self, kind: str, now: datetime, **checkpoint: str) -> None:
        self.events.append(RefreshEvent(kind, self.record.id, self.record.group, now, **checkpoint))


def _as_it_is(pool: Pool) -> Steps:
    """Neither more nor fewer instances."""
    serving = sum(not one.is_standby for one in pool.instances)
    return Steps(surplus=max(0, serving - pool.desired))
