"""A rollout in words, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sdfleet.domain.rollout import Phase, Rollout, canary_size
from sdfleet.domain.rollout_record import to_json
from sdfleet.domain.trial import Runs
from sdfleet.errors import DeploymentError
from sdfleet.fleet_ports import FleetState
from sdfleet_cli.console import table
from sdfleet_lambdas.rollouts import DEPLOYMENT_STATUS, FleetRollouts

#: Rollouts in the table of those before.
_SHOWN_HISTORY = 5


@dataclass(frozen=True)
class FleetReport:
    """One fleet at one moment."""

    runtime: str
    image_version: str | None
    previous_version: str | None
    deployment_status: str | None
    state: FleetState
    rollout: Rollout | None
    past: tuple[Rollout, ...]
    #: What each release has run since the rollout began, up to its end; None: it was not asked, or nobody could tell.
    runs: Mapping[str, Runs] | None = None
    #: Alarms that turn rollouts back and ring now; None: nobody could tell.
    alarms: tuple[str, ...] | None = None

    @property
    def shares(self) -> str:
        """Instances by release."""
        releases = sorted(self.state.releases.items())
        return ", ".join(f"{count} on {version}" for version, count in releases) or "none"

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "state": {**asdict(self.state), "releases": dict(self.state.releases)},
            "rollout": to_json(self.rollout) if self.rollout else None,
            "past": [to_json(one) for one in self.past],
            "runs": None if self.runs is None else {version: asdict(runs) for version, runs in self.runs.items()},
        }


def report(fleet: FleetRollouts, *, counts_runs: bool = True) -> FleetReport:
    """Takes in what Auto Scaling says on the way, as the recorder would."""
    rollout = fleet.reconcile()
    return FleetReport(
        runtime=fleet.runtime,
        image_version=fleet.current_version(),
        previous_version=fleet.previous_version(),
        deployment_status=fleet.releases.read(fleet.runtime, DEPLOYMENT_STATUS),
        state=fleet.group.state(),
        rollout=rollout,
        past=fleet.history().past,
        runs=_runs(fleet, rollout) if counts_runs and rollout is not None else None,
        alarms=_alarms(fleet),
    )


def _runs(fleet: FleetRollouts, rollout: Rollout) -> Mapping[str, Runs] | None:
    releases = (rollout.former.version, rollout.target.version)
    try:
        return fleet.group.runs(releases, since=rollout.started_at, until=rollout.ended_at)
    except DeploymentError:
        # Who may look at a rollout need not be let into CloudWatch.
        return None


def _alarms(fleet: FleetRollouts) -> tuple[str, ...] | None:
    try:
        return tuple(fleet.group.ringing())
    except DeploymentError:
        return None


def in_words(one: FleetReport, *, now: datetime) -> str:
    lines = [
        f"{one.runtime}: {one.deployment_status or 'unknown'}, image version {one.image_version or 'none'}"
        f", before it {one.previous_version or 'none'}",
        f"  instances {one.shares}; desired {one.state.capacity} of {one.state.minimum} to {one.state.maximum}",
    ]
    if one.rollout is not None:
        lines.append(f"  {phase_in_words(one.rollout, now=now)}")
        lines.append(f"  {origin_in_words(one.rollout)}")
        if one.runs is not None:
            lines.append(f"  {runs_in_words(one.rollout, one.runs)}")
    if one.alarms is not None:
        lines.append(f"  {alarms_in_words(one.alarms)}")
    if one.past:
        rows = [_row(past) for past in one.past[:_SHOWN_HISTORY]]
        lines += [f"  {line}" for line in ("before:", *table(rows).splitlines())]
    return "\n".join(lines)


def phase_in_words(rollout: Rollout, *, now: datetime) -> str:
    way = f"{rollout.former.version} -> {rollout.target.version}"
    share = "" if rollout.is_over or rollout.phase is Phase.REQUESTED else f", {rollout.percentage_complete} % replaced"
    reason = f" ({rollout.reason})" if rollout.reason else ""
    match rollout.phase:
        case Phase.REQUESTED if rollout.former_minimum is not None:
            share += f", waits for {rollout.wish.floor} instances in service"
        case Phase.CANARY_BAKING:
            share += f", {_left(rollout.canary_done_at, rollout.wish.bake, now)} of the canary's bake left"
        case Phase.BAKING:
            share += f", {_left(rollout.baking_since, rollout.wish.bake, now)} of its bake left"
        case Phase.HELD:
            share += "; promote it with scripts/promote.sh"
            if rollout.hold_ends_at is not None:
                share += f", or it goes back at {rollout.hold_ends_at:%Y-%m-%d %H:%M} UTC"
        case Phase.FAILED:
            share += "; the fleet is mixed: look at the instance refresh in the console, then deploy a version again"
    return f"rollout {rollout.id} {way}: {rollout.phase}{share}{reason}"


def origin_in_words(rollout: Rollout) -> str:
    """Who, when, why."""
    why = f": {rollout.wish.why}" if rollout.wish.why else ""
    return f"begun {rollout.started_at:%Y-%m-%d %H:%M} UTC by {_person(rollout.wish.by)}{why}"


def alarms_in_words(ringing: Sequence[str]) -> str:
    return f"alarms that ring: {', '.join(ringing)}" if ringing else "no alarm rings"


def runs_in_words(rollout: Rollout, runs: Mapping[str, Runs]) -> str:
    """The share of the work that the release on trial had: what a percentage of instances only promises."""
    former, target = (runs.get(one.version, Runs()) for one in (rollout.former, rollout.target))
    count = former.count + target.count
    if not count:
        return "no task was run since it began"
    failed = f", {target.bad} of them failed there (former release: {former.bad} of {former.count})"
    return f"{target.count} of {count} runs ({100 * target.count / count:.0f} %) on {rollout.target.version}{failed}"


def canary_in_words(percentage: int, state: FleetState, *, floor: int = 0) -> str:
    """What the percentage means for the fleet as it is, or as `floor` has it."""
    capacity = max(state.capacity, floor)
    size = canary_size(percentage, capacity)
    raised = f"from {state.capacity} to {capacity} instances until it is over, " if capacity > state.capacity else ""
    if capacity == 0:
        return (
            "no instance runs, so there is no canary: the next instance that starts has the new version "
            "(--floor 2 has one watched)"
        )
    if size == capacity == 1:
        return f"{raised}the only instance: the canary is the whole fleet (--floor 2 leaves one on the former version)"
    if size == capacity:
        return f"{raised}all {capacity} at once"
    return f"{raised}{size} of {capacity} instances ({100 * size // capacity} %) first"


def as_json(reports: list[FleetReport]) -> str:
    return json.dumps([one.to_json() for one in reports], indent=2, default=str)


def _row(past: Rollout) -> tuple[str, ...]:
    return (
        f"{past.started_at:%Y-%m-%d %H:%M}",
        f"{past.former.version} -> {past.target.version}",
        str(past.phase),
        _person(past.wish.by),
        "; ".join(words for words in (past.wish.why, past.reason) if words),
    )


def _person(by: str) -> str:
    return by.rpartition("/")[2] or by or "somebody"


def _left(since: datetime | None, wait: timedelta, now: datetime) -> str:
    left = max(timedelta(), (since or now) + wait - now)
    return f"{int(left.total_seconds())} s"
