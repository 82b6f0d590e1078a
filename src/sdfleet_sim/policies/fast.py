"""The fast scaler: `sdfleet.domain.fleet_decision`, the same that the function runs, on what it would observe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sdfleet.domain.arrivals import Arrivals
from sdfleet.domain.fleet_decision import Market, decide
from sdfleet.domain.fleet_observation import (
    ComingInstance,
    IdleInstance,
    Observed,
    RolloutStage,
    ScalerSettings,
    Surplus,
)
from sdfleet_sim.fleet import Fleet
from sdfleet_sim.instance import State

#: Any day: decisions know differences only.
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_NEVER = float("inf")
#: Boots that its mean is of.
_REMEMBERED_BOOTS = 10


class FastScaler:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._settings = ScalerSettings(
            idle_after=timedelta(seconds=fleet.assumed.auto_scaling.idle_after_s),
            fallback_after=fleet.plan.fallback_after,
        )
        self._arrivals: Arrivals | None = None
        self._surplus: Surplus | None = None
        self._on_demand_since: float | None = None
        self._is_asleep = True
        #: How far a rollout restrains it.
        self.stage = RolloutStage.NONE

    @property
    def is_settled(self) -> bool:
        return self._fleet.desired <= self._fleet.plan.limits.least

    def start(self) -> None:
        self._look_at_next(_NEVER)

    def _look(self, is_called: bool) -> None:
        fleet = self._fleet
        now = _moment(fleet.now)
        decision = decide(self._observe(now, is_called=is_called), self._settings, now)
        self._surplus = decision.surplus
        if decision.market is not None:
            is_on_demand_only = decision.market is Market.TO_ON_DEMAND
            self._on_demand_since = fleet.now if is_on_demand_only else None
            fleet.set_market(is_on_demand_only=is_on_demand_only)
        if decision.desired is not None:
            fleet.set_desired(decision.desired)
        for name in decision.remove:
            fleet.end_and_shrink(fleet.instances[name])
        self._is_asleep = not decision.goes_on
        following = fleet.now + decision.look_again.total_seconds()
        is_called_at_rest = bool(fleet.assumed.fast_scaler.called_at_rest) and decision.is_at_rest
        if decision.goes_on and not is_called_at_rest:
            fleet.at(following, self._look, False)
        else:
            self._look_at_next(following if decision.goes_on else _NEVER)

    def _look_at_next(self, rested: float) -> None:
        """Resting or asleep: the function that accepts the next task calls, unless the rest is over before."""
        called = self._fleet.next_accepted() + self._fleet.assumed.fast_scaler.wake_s
        if min(called, rested) < _NEVER:
            self._fleet.at(min(called, rested), self._look, called <= rested)

    def _observe(self, now: datetime, *, is_called: bool) -> Observed:
        fleet = self._fleet
        visible, in_flight = fleet.visible(), fleet.in_flight
        task_s = fleet.mean_task_s()
        if self._arrivals is None or self._is_asleep:
            self._arrivals = Arrivals(now, visible + in_flight)
        done_per_s = fleet.busy / task_s if task_s else 0.0
        self._arrivals = self._arrivals.seen(visible + in_flight, done_per_s=done_per_s, at=now)
        boots = fleet.ledger.boots[-_REMEMBERED_BOOTS:]
        everyone = fleet.instances.values()
        told = fleet.now - fleet.assumed.scheduler.idle_told_s
        idle = [one for one in fleet.idle if one.idle_since <= told]
        return Observed(
            visible=visible,
            in_flight=in_flight,
            desired=fleet.desired,
            limits=fleet.plan.limits,
            busy=sum(1 for one in everyone if one.state is State.BUSY) + len(fleet.idle) - len(idle),
            idle=tuple(IdleInstance(one.instance_id, _moment(one.idle_since)) for one in idle),
            coming=tuple(
                ComingInstance(one.instance_id, _moment(one.ordered_at))
                for one in everyone
                if one.state is State.COMING
            ),
            is_called=is_called,
            task_s=task_s,
            boot_s=sum(boots) / len(boots) if boots else None,
            arrivals_per_s=self._arrivals.sure_per_s,
            boot_failures=fleet.boot_failures,
            boot_failed_at=_moment_or_none(fleet.boot_failed_at),
            rollout=self.stage,
            short_since=_moment_or_none(fleet.short_since),
            on_demand_since=_moment_or_none(self._on_demand_since),
            surplus=self._surplus,
        )


def _moment(at: float) -> datetime:
    return _BEGINNING + timedelta(seconds=at)


def _moment_or_none(at: float | None) -> datetime | None:
    return None if at is None else _moment(at)
