"""The instance refreshes of one group: the one under way and those before it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sdfleet.domain.instance_refresh import RefreshStatus
from sdfleet_local.refresh_pace import Pool, Steps
from sdfleet_local.refresh_preferences import Preferences
from sdfleet_local.refresh_record import RefreshEvent, RefreshRecord
from sdfleet_local.refresh_run import PATIENCE, AlarmState, RefreshRun
from sdfleet_local.scaling_errors import ActiveInstanceRefreshNotFound, InstanceRefreshInProgress, ValidationError
from sdfleet_local.scaling_templates import Configuration, Template

#: DescribeInstanceRefreshes, API reference: "from the previous six weeks".
_KEPT_FOR = timedelta(weeks=6)


class Refreshes:
    """Not safe in threads: the group's lock is held around every call."""

    def __init__(self, group: str, *, patience: timedelta = PATIENCE) -> None:
        """`patience`: how long a refresh may stay without progress; Auto Scaling's is an hour."""
        self._group = group
        self._patience = patience
        self._active: RefreshRun | None = None
        self._past: tuple[RefreshRecord, ...] = ()
        self._events: list[RefreshEvent] = []

    def start(
        self,
        preferences: Preferences,
        desired: Configuration | None,
        *,
        group: Configuration,
        pool: Pool,
        alarms: Mapping[str, AlarmState],
        now: datetime,
    ) -> str:
        """The new refresh's id. `alarms`: the state of each that exists.

        Raises:
            InstanceRefreshInProgress: there is room for one.
            ValidationError: an alarm is missing or not OK, or there is nothing to roll back to.
        """
        if self._active is not None:
            raise InstanceRefreshInProgress(
                "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."
            )
        _check_alarms(preferences.alarms, alarms)
        if preferences.auto_rollback and not group.can_be_returned_to:
            # RefreshPreferences, AutoRollback: not with $Latest, $Default or an AMI alias.
            raise ValidationError(
                "AutoRollback cannot be set to true: the launch template version of the Auto Scaling group is $Latest "
                "or $Default, or its AMI is an alias."
            )
        record = RefreshRecord(
            id=str(uuid.uuid4()), group=self._group, preferences=preferences, desired=desired, created_at=now
        )
        self._active = RefreshRun(record, group, pool, patience=self._patience)
        return record.id

    def cancel(self, now: datetime, *, waits: bool) -> str:
        """The id of what is cancelled, a refresh or a rollback.

        Raises:
            ActiveInstanceRefreshNotFound: none is under way.
        """
        run = self._under_way()
        run.cancel(now, waits=waits)
        self._settle(now)
        return run.record.id

    def roll_back(self, pool: Pool, now: datetime) -> str:
        """Raises:
        ActiveInstanceRefreshNotFound: none is under way.
        IrreversibleInstanceRefresh: it has nothing to go back to, or is beyond that.
        """
        run = self._under_way()
        run.roll_back(pool, now, "Rollback was started by a user request.")
        return run.record.id

    def tick(self, pool: Pool, alarms: Mapping[str, AlarmState], now: datetime) -> tuple[Steps, Configuration | None]:
        """What the group is to do; its new configuration, if a refresh has succeeded just now."""
        run = self._active
        if run is None:
            return Steps(), None
        steps = run.tick(pool, alarms, now)
        self._settle(now)
        return steps, run.target if run.record.status is RefreshStatus.SUCCESSFUL else None

    def describe(self, ids: Sequence[str] = ()) -> tuple[RefreshRecord, ...]:
        """Newest first. Unknown ids are passed over."""
        current = () if self._active is None else (self._active.record,)
        return tuple(one for one in (*current, *self._past) if not ids or one.id in ids)

    @property
    def template(self) -> Template | None:
        """What is launched because of the refresh; None: the group's own."""
        run = self._active
        return run.target.template if run is not None and run.launches_target else None

    @property
    def watched_alarms(self) -> tuple[str, ...]:
        """Those whose state counts now."""
        run = self._active
        return run.record.preferences.alarms if run is not None else ()

    @property
    def holds_configuration(self) -> bool:
        """User Guide, Update restriction: while a refresh with a desired configuration is active."""
        return self._active is not None and self._active.record.desired is not None

    def take_events(self) -> tuple[RefreshEvent, ...]:
        """Those since the last call."""
        if self._active is not None:
            self._collect(self._active)
        events, self._events = tuple(self._events), []
        return events

    def _under_way(self) -> RefreshRun:
        if self._active is None:
            raise ActiveInstanceRefreshNotFound(
                f"No active instance refresh or rollback was found for Auto Scaling group {self._group}."
            )
        return self._active

    def _settle(self, now: datetime) -> None:
        run = self._active
        if run is None or not run.record.status.is_over:
            return
        self._collect(run)
        self._active = None
        kept = [one for one in self._past if one.ended_at is None or now - one.ended_at < _KEPT_FOR]
        self._past = (run.record, *kept)

    def _collect(self, run: RefreshRun) -> None:
        self._events += run.events
        run.events.clear()


def _check_alarms(names: Sequence[str], alarms: Mapping[str, AlarmState]) -> None:
    """User Guide, "Undo changes with a rollback": "If the alarm state is INSUFFICIENT_DATA or ALARM, you receive
    an error when you try to start the instance refresh"; "To specify an alarm, you first need to create it."
    """
    for name in names:
        state = alarms.get(name)
        if state is None:
            raise ValidationError(f"There is no CloudWatch alarm {name}; create it first.")
        if state is not AlarmState.OK:
            raise ValidationError(f"The CloudWatch alarm {name} is in the state {state.value}; it must be OK.")
