"""One fleet under the fast scaler: look, remember, decide, do.

The newest invocation holds a fleet: it writes its name into the fleet's record, and whoever finds another name there
leaves. The record is written before anything is done, so of two that look at the same time one does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sdfleet.domain import names
from sdfleet.domain.fleet_decision import REST_LOOK, Decision, Market, Reason, decide
from sdfleet.domain.fleet_observation import Observed, ScalerSettings
from sdfleet.domain.scaler_record import Fallback, ScalerRecord
from sdfleet.domain.wake import AWAKE_GRACE
from sdfleet.errors import RecordConflict, ServiceUnavailable
from sdfleet.fleet_ports import RolloutStore, ScaledGroup, ScalerStore, WorkReports
from sdfleet.ports import Clock, TaskQueue
from sdfleet.telemetry import logs, metrics, scaling_metrics
from sdfleet_lambdas.fleet_sight import Sight, observed, remembered

log = logs.get_logger(__name__)

#: After nothing was left to decide, one more look as much later sees what the queue's counts were hiding. A little
#: below the schedule's minute, which comes a little early too.
REST_BEFORE_SLEEP = timedelta(seconds=50)
#: Others write the record at a wake and at an operator's word only.
ROUNDS = 3


@dataclass(frozen=True)
class Outcome:
    """After a look: when the next is due, and whether it is this invocation's."""

    look_again: timedelta
    #: Another invocation has taken the fleet over.
    is_taken: bool = False
    #: Nothing is left to decide, and the last look is done.
    is_asleep: bool = False


@dataclass(frozen=True)
class ScaledFleet:
    """Every call may raise ServiceUnavailable."""

    runtime: str
    #: The group's name, which is the metrics' dimension.
    name: str
    group: ScaledGroup
    queue: TaskQueue
    store: ScalerStore
    reports: WorkReports
    rollouts: RolloutStore
    settings: ScalerSettings
    clock: Clock

    def take(self, holder: str) -> None:
        """Decide from now on."""
        for _ in range(ROUNDS):
            record = self.store.load(self.runtime)
            try:
                self.store.save(self.runtime, replace(record, holder=holder))
            except RecordConflict:
                continue
            return
        raise ServiceUnavailable(f"The record of {self.runtime} keeps changing; try again.")

    def is_asleep(self) -> bool:
        return self.store.load(self.runtime).is_asleep(self.clock.now())

    def look(self, holder: str) -> Outcome:
        for _ in range(ROUNDS):
            record = self.store.load(self.runtime)
            if record.holder != holder:
                return Outcome(REST_LOOK, is_taken=True)
            sight = self._sight(record)
            record = remembered(record, sight, assumed_task_s=self.settings.assumed_task.total_seconds())
            seen = observed(record, sight)
            is_released = record.manual is not None and not record.manual.holds(sight.at)
            decision = decide(seen, self.settings, sight.at)
            record = _after(record, decision, seen, now=sight.at)
            try:
                record = self.store.save(self.runtime, record)
            except RecordConflict:
                # A task was handed in, an operator has spoken, or somebody took the fleet over.
                continue
            self._tell(decision, seen)
            if is_released:
                self.group.resume_alarms()
            self._do(decision, record)
            rests = record.resting_since is not None
            is_over = rests and sight.at - (record.resting_since or sight.at) >= REST_BEFORE_SLEEP
            return Outcome(REST_LOOK if rests else decision.look_again, is_asleep=is_over)
        return Outcome(timedelta(0))

    def _sight(self, record: ScalerRecord) -> Sight:
        group = self.group.look()
        asked = {one.instance_id for one in group.instances if one.is_in_service} | record.coming.keys()
        history = self.rollouts.load(self.runtime)
        return Sight(
            group=group,
            counts=self.queue.counts(),
            reports=self.reports.read(sorted(asked)),
            phase=history.current.phase if history.current else None,
            at=self.clock.now(),
        )

    def _do(self, decision: Decision, record: ScalerRecord) -> None:
        if decision.desired is not None:
            self.group.raise_to(decision.desired)
        for instance_id in decision.remove:
            try:
                self.group.remove(instance_id)
            except ServiceUnavailable as error:
                # At its minimum by now, or gone already.
                log.warning("instance.not_removed", instance_id=instance_id, reason=str(error))
        if decision.market is not None:
            self._buy_elsewhere(decision.market, record)

    def _buy_elsewhere(self, market: Market, record: ScalerRecord) -> None:
        state, fallback = self.group.look(), record.fallback
        if market is Market.TO_ON_DEMAND:
            missing = max(0, state.desired - len(state.instances))
            base = min(state.limits.greatest, state.on_demand_base + missing)
            changed: Fallback | None = Fallback(self.clock.now(), state.on_demand_base, base)
            self.group.set_on_demand_base(base)
        else:
            changed = None
            if fallback is not None and state.on_demand_base == fallback.base:
                # Otherwise somebody has set another meanwhile, CloudFormation or a person: that one counts.
                self.group.set_on_demand_base(fallback.base_before)
        log.info("fleet.bought_elsewhere", runtime=self.runtime, market=market)
        try:
            self.store.save(self.runtime, replace(record, fallback=changed, short_since=None, short_at=0))
        except RecordConflict:
            log.warning("fallback.not_recorded", runtime=self.runtime, market=market)

    def _tell(self, decision: Decision, seen: Observed) -> None:
        if seen.backlog:
            per_instance = seen.backlog / max(1, seen.running)
            scaling_metrics.backlog(self.name, per_instance=per_instance, queued_s=decision.queued_s)
        if decision.reason is Reason.BOOT_FAILURES:
            metrics.count(names.BOOT_FAILURES, {names.FLEET_DIMENSION: self.name})
        if decision.desired is not None or decision.remove:
            log.info(
                "fleet.scaled",
                runtime=self.runtime,
                reason=decision.reason,
                before=seen.desired,
                desired=decision.desired,
                removed=len(decision.remove),
                backlog=seen.backlog,
                queued_s=round(decision.queued_s, 1),
                running=seen.running,
                coming=len(seen.coming),
            )


def _after(record: ScalerRecord, decision: Decision, seen: Observed, *, now: datetime) -> ScalerRecord:
    """The record once this is decided. A wake is possible from the first look on that finds nothing waiting."""
    coming = {one: since for one, since in record.coming.items() if one not in decision.remove}
    manual = record.manual if record.manual is not None and record.manual.holds(now) else None
    resting_since = None if decision.goes_on else record.resting_since or now
    return replace(
        record,
        coming=coming,
        manual=manual,
        resting_since=resting_since,
        awake_until=now if resting_since or decision.is_at_rest else now + decision.look_again + AWAKE_GRACE,
        called_at=record.called_at if seen.is_called else None,
        # A night's silence says nothing about the morning.
        arrivals=None if resting_since else record.arrivals,
        surplus=decision.surplus,
        reason=str(decision.reason),
        decided_at=now,
        queued_s=decision.queued_s,
    )
