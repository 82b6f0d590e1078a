"""From what was read of a fleet, and what is remembered of it, to what its scaler decides by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import fmean
from types import MappingProxyType

from sdfleet.domain.arrivals import Arrivals
from sdfleet.domain.fleet_observation import ComingInstance, IdleInstance, ManualSetting, Observed, RolloutStage
from sdfleet.domain.rollout import Phase
from sdfleet.domain.scaler_record import BootFailures, InstanceWork, ScalerRecord, smoothed
from sdfleet.domain.wake import CALL_LASTS
from sdfleet.fleet_ports import GroupState
from sdfleet.ports import QueueCounts

#: Phases in which the new release is on trial, or about to be.
_BAKING = {Phase.CANARY, Phase.CANARY_BAKING, Phase.HELD, Phase.BAKING}

#: Between two looks, for a boot that has ended to be measured: after a gap nobody knows when it did.
_CLOSE = timedelta(seconds=30)


@dataclass(frozen=True)
class Sight:
    """What one look has read."""

    group: GroupState
    counts: QueueCounts
    #: Of those in service, and of those that were on their way.
    reports: Mapping[str, InstanceWork]
    #: Of the fleet's last rollout; None: there was none.
    phase: Phase | None
    at: datetime


def stage_of(phase: Phase | None) -> RolloutStage:
    if phase is None or phase.is_over:
        return RolloutStage.NONE
    return RolloutStage.BAKING if phase in _BAKING else RolloutStage.MOVING


def remembered(record: ScalerRecord, sight: Sight, *, assumed_task_s: float) -> ScalerRecord:
    """The record after this look, nothing decided yet."""
    return _with_pace(_with_shortage(_with_boots(record, sight), sight), sight, assumed_task_s=assumed_task_s)


def observed(record: ScalerRecord, sight: Sight) -> Observed:
    """`record`: as `remembered` leaves it."""
    group, now = sight.group, sight.at
    idle = []
    busy = 0
    for instance in group.instances:
        if instance.is_in_service:
            work = sight.reports.get(instance.instance_id)
            if work is not None and work.idle_since is not None and work.is_fresh(now):
                idle.append(IdleInstance(instance.instance_id, work.idle_since))
            else:
                busy += 1
    failures = record.failures
    is_of_this_release = failures is not None and failures.template_version == group.template_version
    return Observed(
        visible=sight.counts.visible,
        in_flight=sight.counts.in_flight,
        desired=group.desired,
        limits=group.limits,
        busy=busy,
        idle=tuple(idle),
        coming=tuple(
            ComingInstance(one.instance_id, record.coming.get(one.instance_id, now))
            for one in group.instances
            if not one.is_in_service
        ),
        is_called=record.called_at is not None and now - record.called_at < CALL_LASTS,
        task_s=record.task_s,
        boot_s=record.boot_s,
        arrivals_per_s=record.arrivals.sure_per_s if record.arrivals else 0.0,
        boot_failures=failures.count if failures and is_of_this_release else 0,
        boot_failed_at=failures.at if failures and is_of_this_release else None,
        rollout=stage_of(sight.phase),
        manual=_manual(record, sight),
        short_since=record.short_since,
        on_demand_since=record.fallback.since if record.fallback else None,
        surplus=record.surplus,
    )


def _manual(record: ScalerRecord, sight: Sight) -> ManualSetting | None:
    if record.manual is not None:
        # When its hours are over, so is the suspension that came with it.
        return record.manual if record.manual.holds(sight.at) else None
    # Somebody has taken the group's scaling into his own hands by AWS's means: it stays as it is.
    return ManualSetting(sight.group.desired) if sight.group.is_suspended else None


def _with_boots(record: ScalerRecord, sight: Sight) -> ScalerRecord:
    """Who came, who is on the way, who died there."""
    now = sight.at
    states = {one.instance_id: one for one in sight.group.instances}
    boot_s, failures = record.boot_s, record.failures
    for instance_id, since in record.coming.items():
        instance = states.get(instance_id)
        if instance is None and instance_id not in sight.reports:
            # Gone before it was in service: who was has said so. A Spot interruption in that time looks the same.
            version = sight.group.template_version
            count = failures.count if failures and failures.template_version == version else 0
            failures = BootFailures(version, count + 1, now)
        elif instance is None:
            failures = None
        elif instance.is_in_service:
            if record.decided_at is not None and now - record.decided_at < _CLOSE:
                boot_s = smoothed(boot_s, (now - since).total_seconds())
            if failures and failures.template_version == instance.template_version:
                failures = None
    coming = {
        one.instance_id: record.coming.get(one.instance_id, now)
        for one in sight.group.instances
        if not one.is_in_service
    }
    return replace(record, coming=MappingProxyType(coming), boot_s=boot_s, failures=failures)


def _with_shortage(record: ScalerRecord, sight: Sight) -> ScalerRecord:
    there = len(sight.group.instances)
    if there >= sight.group.desired:
        return replace(record, short_since=None, short_at=0)
    if record.short_since is None or there > record.short_at:
        # Every launch is a sign that there are machines to be had.
        return replace(record, short_since=sight.at, short_at=there)
    return replace(record, short_at=there)


def _with_pace(record: ScalerRecord, sight: Sight, *, assumed_task_s: float) -> ScalerRecord:
    """How long tasks take, and how many come."""
    now = sight.at
    measured = [work.task_s for work in sight.reports.values() if work.task_s is not None and work.is_fresh(now)]
    task_s = smoothed(record.task_s, fmean(measured)) if measured else record.task_s
    idle = {one for one, work in sight.reports.items() if work.idle_since is not None and work.is_fresh(now)}
    at_work = sum(one.is_in_service and one.instance_id not in idle for one in sight.group.instances)
    backlog = sight.counts.visible + sight.counts.in_flight
    # What is in nobody's hands is not being done.
    done_per_s = min(at_work, sight.counts.in_flight) / (task_s or assumed_task_s)
    before = record.arrivals
    arrivals = Arrivals(now, backlog) if before is None else before.seen(backlog, done_per_s=done_per_s, at=now)
    return replace(record, task_s=task_s, arrivals=arrivals)
