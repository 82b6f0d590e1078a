"""An operator's number of instances: the commands say it, the fast scaler keeps to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sdfleet.domain.fleet_observation import ManualSetting
from sdfleet.domain.scaler_record import ScalerRecord
from sdfleet.errors import DeploymentRefused, RecordConflict, ServiceUnavailable
from sdfleet.fleet_ports import GroupState, ScaledGroup, ScalerSchedule, ScalerStore
from sdfleet.ports import Clock
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

#: The scaler writes the record every few seconds while there is work.
ROUNDS = 10


@dataclass(frozen=True)
class ManualScaling:
    """Of one fleet. Every call may raise ServiceUnavailable."""

    runtime: str
    group: ScaledGroup
    store: ScalerStore
    schedule: ScalerSchedule
    clock: Clock

    def record(self) -> ScalerRecord:
        return self.store.load(self.runtime)

    def check(self, capacity: int) -> GroupState:
        """The group as it is.

        Raises:
            DeploymentRefused: it may not have so many.
        """
        state = self.group.look()
        limits = state.limits
        if not limits.least <= capacity <= limits.greatest:
            raise DeploymentRefused(
                f"The fleet of {self.runtime} has {limits.least} to {limits.greatest} instances, not {capacity}; change"
                " fleet.minSize or fleet.maxSize and deploy."
            )
        return state

    def pin(self, capacity: int, *, until: datetime | None) -> None:
        """So many instances until then, or until `release`; those above it go as they become idle.

        Raises:
            DeploymentRefused: the group may not have so many.
        """
        state = self.check(capacity)
        self._change(ManualSetting(capacity, until))
        # The step policies know nothing of it.
        self.group.suspend_alarms()
        if capacity > state.desired:
            self.group.raise_to(capacity)
        self.schedule.switch_on()
        log.info("fleet.pinned", runtime=self.runtime, capacity=capacity, until=until)

    def release(self) -> None:
        """The queue decides again."""
        self._change(None)
        self.group.resume_alarms()
        self.schedule.switch_on()
        log.info("fleet.released", runtime=self.runtime)

    def _change(self, manual: ManualSetting | None) -> None:
        for _ in range(ROUNDS):
            record = self.record()
            # Failures at boot are the operator's to judge, too: from here on they count anew.
            try:
                self.store.save(self.runtime, replace(record, manual=manual, failures=None, resting_since=None))
            except RecordConflict:
                continue
            return
        raise ServiceUnavailable(f"The record of {self.runtime} keeps changing; try again.")
