"""Rollouts: a fleet's way from one release to another, as a state machine over what Auto Scaling reports.

::

    REQUESTED ──▶ CANARY ──▶ CANARY_BAKING ──▶ ROLLING ──▶ BAKING ──▶ SUCCEEDED
                     │        (or HELD) │         │           │
                     │             promote ──▶ ROLLING        │
                     └────────────┬─────┴─────────┴───────────┘
                 alarm, failure,  │  rollback, a cancelled refresh
                                  ▼
                            ROLLING_BACK ──▶ ROLLED_BACK
                                  └────────▶ FAILED        (a person has to look)

An event is a nudge: `reconcile` takes what describe calls found, in whatever order and however often, and says which
state that is and what to ask of Auto Scaling. It is repeatable: as long as an action's effect is not seen, the next
call names it again, and an action that was carried out without being recorded is recognised by its effect. Sources
of the rules: Auto Scaling User Guide, "Instance refresh", and docs/adr.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sdfleet.domain.instance_refresh import (
    REVERSIBLE,
    Action,
    CancelRefresh,
    EndTrial,
    Observed,
    Refresh,
    RefreshStatus,
    RollBackRefresh,
    SetMinimum,
    StartRefresh,
    TrialWatch,
    WatchTrial,
)
from sdfleet.domain.rollout import Intent, Phase, Rollout, Target, Wish
from sdfleet.domain.rollout_settlement import settle
from sdfleet.errors import DeploymentRefused

#: CheckpointDelay and BakeTime (StartInstanceRefresh, API reference).
LONGEST_BAKE = timedelta(hours=48)
#: A refresh that was asked for is described within this.
START_GRACE = timedelta(seconds=60)
#: The recorder looks every minute: a canary was done so long before it was seen to be, at most.
SEEN_WITHIN = timedelta(seconds=60)
#: Instances that a floor asked for are in service within this: a boot, and a type or zone without Spot capacity.
FLOOR_PATIENCE = timedelta(minutes=30)


def plan_start(
    active: Rollout | None,
    *,
    rollout_id: str,
    runtime: str,
    former: Target,
    target: Target,
    wish: Wish,
    now: datetime,
    minimum: int = 0,
) -> tuple[Rollout, tuple[Action, ...]]:
    """`minimum`: the group's.

    Raises:
        DeploymentRefused: another rollout is under way, or there is nothing to do.
    """
    if active is not None and not active.is_over:
        raise DeploymentRefused(
            f"A rollout of {runtime} to {active.target.version} is under way ({active.phase}); wait for its end, "
            "promote it or roll it back."
        )
    if active is not None and active.former_minimum is not None:
        raise DeploymentRefused(
            f"The last rollout of {runtime} is about to give back its floor of {active.wish.floor}; try again in a "
            "minute."
        )
    if target.version == former.version:
        raise DeploymentRefused(f"{runtime} runs {target.version} already.")
    if not 1 <= wish.percentage <= 100:
        raise DeploymentRefused(f"The percentage must be between 1 and 100, not {wish.percentage}.")
    if not timedelta(0) <= wish.bake <= LONGEST_BAKE:
        raise DeploymentRefused("The bake time must be between 0 seconds and 48 hours.")
    if wish.hold and wish.percentage == 100:
        raise DeploymentRefused("There is no canary to hold at 100 %; name a smaller percentage.")
    rollout = Rollout(id=rollout_id, runtime=runtime, former=former, target=target, wish=wish, started_at=now)
    if wish.floor > minimum:
        return replace(rollout, former_minimum=minimum), (SetMinimum(wish.floor),)
    return rollout, (_forward(rollout),)


def plan_promote(rollout: Rollout, *, reason: str) -> tuple[Rollout, tuple[Action, ...]]:
    """The rest of the fleet follows now. Auto Scaling cannot be told to go on: the refresh is cancelled and another
    takes over, which passes over the instances that are new already.

    Raises:
        DeploymentRefused: there is no canary that could be promoted.
    """
    if not rollout.is_promotable:
        raise DeploymentRefused(
            f"The rollout of {rollout.runtime} to {rollout.target.version} is {rollout.phase}; only a finished "
            "canary can be promoted."
        )
    return replace(rollout, intent=Intent.PROMOTE, phase=Phase.ROLLING, reason=reason), (CancelRefresh(),)


def plan_rollback(rollout: Rollout, *, reason: str) -> tuple[Rollout, tuple[Action, ...]]:
    """Of a rollout under way. One that is over is undone by another rollout, to the former release.

    Raises:
        DeploymentRefused: it is over.
    """
    if rollout.is_over:
        raise DeploymentRefused(f"The rollout of {rollout.runtime} to {rollout.target.version} is over.")
    if rollout.intent is Intent.ROLL_BACK:
        return rollout, ()
    return _turned_back(rollout, reason), (RollBackRefresh(),)


def reconcile(rollout: Rollout, observed: Observed, *, now: datetime) -> tuple[Rollout, tuple[Action, ...]]:
    """The rollout in the light of what was observed, and what to ask of Auto Scaling now."""
    if rollout.observed_at is not None and observed.at <= rollout.observed_at:
        return rollout, ()
    if rollout.is_over:
        return settle(rollout, observed)
    rollout = replace(rollout, observed_at=observed.at)
    refresh = _ours(rollout, observed)
    if refresh is None:
        return _without_refresh(rollout, observed, now)
    rollout = replace(rollout, refresh_id=refresh.id, percentage_complete=refresh.percentage_complete)
    if refresh.template_version == rollout.former.template_version:
        return _on_the_way_back(rollout, refresh, now)
    return _forward_refresh(rollout, refresh, observed, now)


def _ours(rollout: Rollout, observed: Observed) -> Refresh | None:
    """The refresh of the present step; one that was started and never recorded is known by its target."""
    current = next((one for one in observed.refreshes if one.id == rollout.refresh_id), None)
    wanted = {rollout.target.template_version}
    if rollout.intent is Intent.ROLL_BACK:
        wanted.add(rollout.former.template_version)
    later = [
        one
        for one in observed.refreshes
        if one.template_version in wanted
        and one.started_at >= rollout.started_at
        and one.id not in rollout.past_refresh_ids
        and (current is None or (current.status.is_over and one.started_at > current.started_at))
    ]
    return max(later, key=lambda one: one.started_at, default=current)


def _without_refresh(rollout: Rollout, observed: Observed, now: datetime) -> tuple[Rollout, tuple[Action, ...]]:
    if not observed.is_refreshed:
        # Somebody else's, or our cancelled one on its last steps: Auto Scaling has room for one.
        return rollout, ()
    if rollout.intent is Intent.ROLL_BACK:
        if rollout.past_refresh_ids:
            return rollout, (_backward(rollout),)
        # Taken back before it began; unless its start is on its way.
        has_begun_none = observed.at >= rollout.started_at + START_GRACE
        return _over(rollout, Phase.ROLLED_BACK, now) if has_begun_none else (rollout, ())
    if rollout.former_minimum is not None and min(observed.minimum, observed.in_service) < rollout.wish.floor:
        if now >= rollout.started_at + FLOOR_PATIENCE:
            minutes = int(FLOOR_PATIENCE.total_seconds() / 60)
            reason = f"the floor of {rollout.wish.floor} was not in service within {minutes} minutes"
            return _over(_turned_back(rollout, reason), Phase.ROLLED_BACK, now)
        return rollout, () if observed.minimum >= rollout.wish.floor else (SetMinimum(rollout.wish.floor),)
    return rollout, (_forward(rollout),)


def _forward_refresh(
    rollout: Rollout, refresh: Refresh, observed: Observed, now: datetime
) -> tuple[Rollout, tuple[Action, ...]]:
    match refresh.status:
        case RefreshStatus.SUCCESSFUL:
            if rollout.intent is Intent.ROLL_BACK:
                # The decision came too late for a native rollback.
                return _next_refresh(rollout, refresh, _backward)
            return _over(rollout, Phase.SUCCEEDED, now)
        case RefreshStatus.ROLLBACK_SUCCESSFUL:
            was_seen = rollout.intent is Intent.ROLL_BACK
            rollout = _turned_back(rollout, refresh.reason or "the refresh was rolled back")
            if rollout.past_refresh_ids:
                # It has put back what it replaced itself; the canary was another refresh's.
                return _next_refresh(rollout, refresh, _backward)
            # One that was too quick to be seen on its way is shown so first: its end is found by the next look.
            return _over(rollout, Phase.ROLLED_BACK, now) if was_seen else (rollout, ())
        case RefreshStatus.ROLLBACK_IN_PROGRESS:
            return _turned_back(rollout, refresh.reason or "the refresh is being rolled back"), ()
        case RefreshStatus.ROLLBACK_FAILED | RefreshStatus.FAILED:
            # Some instances are new, some are not: only another refresh makes them one again.
            return _next_refresh(_turned_back(rollout, refresh.reason or "the refresh failed"), refresh, _backward)
        case RefreshStatus.CANCELLED:
            if rollout.intent is Intent.PROMOTE:
                return _next_refresh(rollout, refresh, _forward)
            return _next_refresh(_turned_back(rollout, "the refresh was cancelled"), refresh, _backward)
        case RefreshStatus.CANCELLING:
            return rollout, ()
    rollout, actions = _under_way(rollout, refresh, now)
    if rollout.intent is not Intent.ROLL_BACK and observed.watch in {TrialWatch.NONE, TrialWatch.SOME}:
        # Somebody has deleted what the refresh looks at.
        actions = (*actions, WatchTrial(rollout.target.version))
    return rollout, actions


def _under_way(rollout: Rollout, refresh: Refresh, now: datetime) -> tuple[Rollout, tuple[Action, ...]]:
    if rollout.intent is Intent.ROLL_BACK:
        return rollout, (RollBackRefresh(),) if refresh.status in REVERSIBLE else ()
    is_second_step = bool(rollout.past_refresh_ids)
    if rollout.intent is Intent.PROMOTE and not is_second_step:
        return rollout, (CancelRefresh(),)
    rollout = _with_progress(rollout, refresh, now, has_canary=not is_second_step and rollout.wish.percentage < 100)
    hold_ends_at = rollout.hold_ends_at
    if rollout.phase is Phase.HELD and hold_ends_at is not None and now >= hold_ends_at:
        return _turned_back(rollout, "nobody promoted the held canary within 47 hours"), (RollBackRefresh(),)
    return rollout, ()


def _with_progress(rollout: Rollout, refresh: Refresh, now: datetime, *, has_canary: bool) -> Rollout:
    if refresh.status is RefreshStatus.BAKING:
        return replace(rollout, phase=Phase.BAKING, baking_since=rollout.baking_since or now)
    done = refresh.percentage_complete
    is_beyond = done == 100 or done > (rollout.canary_percentage or 100)
    if not has_canary or (is_beyond and not _must_wait(rollout, now)):
        return replace(rollout, phase=Phase.ROLLING)
    if done < rollout.wish.percentage:
        return replace(rollout, phase=Phase.CANARY)
    done_at = rollout.canary_done_at or now
    phase = Phase.HELD if rollout.wish.hold else Phase.CANARY_BAKING
    if not rollout.wish.hold and now >= done_at + rollout.wish.bake:
        phase = Phase.ROLLING
    return replace(rollout, phase=phase, canary_done_at=done_at, canary_percentage=rollout.canary_percentage or done)


def _must_wait(rollout: Rollout, now: datetime) -> bool:
    """Whether Auto Scaling is at the checkpoint, whatever is new by now: what replaces a lost instance is new too."""
    if rollout.canary_done_at is None:
        return False
    return rollout.wish.hold or now < rollout.canary_done_at + rollout.wish.bake - SEEN_WITHIN


def _on_the_way_back(rollout: Rollout, refresh: Refresh, now: datetime) -> tuple[Rollout, tuple[Action, ...]]:
    if refresh.status is RefreshStatus.SUCCESSFUL:
        return _over(rollout, Phase.ROLLED_BACK, now)
    if refresh.status.is_over:
        reason = f"{rollout.reason}; the way back ended as {refresh.status}: {refresh.reason or 'no reason given'}"
        return _over(replace(rollout, reason=reason), Phase.FAILED, now)
    return rollout, ()


def _next_refresh(
    rollout: Rollout, over: Refresh, step: Callable[[Rollout], StartRefresh]
) -> tuple[Rollout, tuple[Action, ...]]:
    rollout = replace(rollout, refresh_id=None, past_refresh_ids=(*rollout.past_refresh_ids, over.id))
    return rollout, (step(rollout),)


def _forward(rollout: Rollout) -> StartRefresh:
    wish = rollout.wish
    has_canary = wish.percentage < 100 and not rollout.past_refresh_ids
    return StartRefresh(
        template_version=rollout.target.template_version,
        checkpoints=(wish.percentage, 100) if has_canary else (100,),
        checkpoint_delay=LONGEST_BAKE if wish.hold else wish.bake,
        bake=wish.bake,
        auto_rollback=True,
        release=rollout.target.version,
    )


def _backward(rollout: Rollout) -> StartRefresh:
    return StartRefresh(
        template_version=rollout.former.template_version,
        checkpoints=(100,),
        checkpoint_delay=timedelta(0),
        bake=timedelta(0),
        auto_rollback=False,
    )


def _turned_back(rollout: Rollout, reason: str) -> Rollout:
    """The first reason is the one that counts."""
    if rollout.intent is Intent.ROLL_BACK:
        return rollout
    return replace(rollout, intent=Intent.ROLL_BACK, phase=Phase.ROLLING_BACK, reason=reason)


def _over(rollout: Rollout, phase: Phase, now: datetime) -> tuple[Rollout, tuple[Action, ...]]:
    """No refresh of it is under way: nobody looks at its alarms any more."""
    return replace(rollout, phase=phase, ended_at=now, leaves_alarms=True), (EndTrial(),)
