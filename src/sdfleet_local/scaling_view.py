"""A local deployment's fleets at one moment, for somebody who watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sdfleet.domain.scaler_record import ScalerRecord
from sdfleet.ports import QueueCounts

_BAR = 40
_REASONS: Mapping[str, str] = {
    "": "has not decided yet",
    "nothing_to_do": "nothing to do",
    "wake": "wakes the fleet",
    "backlog": "raises it: too much waits",
    "enough": "enough instances",
    "at_maximum": "at its maximum",
    "under_minimum": "raises it to the minimum",
    "idle": "ends idle instances",
    "manual": "keeps to an operator's number",
    "rollout_bakes": "waits: a release is on trial",
    "boot_failures": "waits: instances die at boot",
}


@dataclass(frozen=True)
class InstanceView:
    instance_id: str
    state: str
    release: str
    #: None: its scheduler does not answer (yet).
    tasks: int | None


@dataclass(frozen=True)
class FleetView:
    runtime: str
    counts: QueueCounts
    desired: int
    least: int
    greatest: int
    instances: tuple[InstanceView, ...]
    record: ScalerRecord


def lines(fleets: Sequence[FleetView], *, now: datetime) -> list[str]:
    """The picture of this moment."""
    shown = [f"{now:%H:%M:%S}  Ctrl-C ends the watch, not the deployment."]
    for fleet in fleets:
        shown += ["", *_fleet(fleet, now)]
    return shown


def _fleet(fleet: FleetView, now: datetime) -> list[str]:
    record, counts = fleet.record, fleet.counts
    asleep = "asleep" if record.is_asleep(now) else "awake"
    measured = f"{record.task_s:.1f} s a task" if record.task_s is not None else "no task measured"
    booted = f", {record.boot_s:.0f} s to boot" if record.boot_s is not None else ""
    return [
        f"{fleet.runtime}: {len(fleet.instances)} of {fleet.desired} wanted ({fleet.least} to {fleet.greatest})",
        f"  waiting {counts.visible:>5}  {_bar(counts.visible)}",
        f"  in hand {counts.in_flight:>5}  {_bar(counts.in_flight)}",
        f"  scaler  {asleep}: {_REASONS.get(record.reason, record.reason)}; {measured}{booted}",
        *(f"  {one.instance_id}  {one.state:<22} {one.release:<10} {_tasks(one)}" for one in fleet.instances),
    ]


def summary(fleets: Sequence[FleetView]) -> str:
    """The same in a line, for a file or a pipe."""
    return "; ".join(
        f"{fleet.runtime}: {fleet.counts.visible} wait, {fleet.counts.in_flight} in hand,"
        f" {sum(one.state == 'InService' for one in fleet.instances)} in service of {fleet.desired} wanted"
        for fleet in fleets
    )


def _bar(count: int) -> str:
    return "#" * min(count, _BAR) + ("+" if count > _BAR else "")


def _tasks(instance: InstanceView) -> str:
    if instance.tasks is None:
        return "starting" if instance.state == "Pending" else "silent"
    return f"{instance.tasks} in hand" if instance.tasks else "idle"
