"""Small scenes for the simulation, whose results can be reckoned by hand."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache

from sdfleet.domain.scaling import Limits
from sdfleet_sim.arrivals import Trace
from sdfleet_sim.assumptions import Assumptions, Spread
from sdfleet_sim.fleet import Fleet
from sdfleet_sim.policies.choice import build
from sdfleet_sim.run import Observer
from sdfleet_sim.scenario import FleetPlan, Scenario
from sdfleet_sim.spot_market import Zone

#: Seconds from an order to the first task: 1 + 9 until EC2 bills, 10 to start, 20 to load, none for the rest.
BOOT_S = 40.0
BILLED_AFTER_S = 10.0
TASK_S = 10.0


@cache
def certain() -> Assumptions:
    """Everything takes as long as it always takes; nothing in between."""
    assumed = Assumptions.read()
    boot = replace(
        assumed.boot,
        launch_call=Spread(1.0, 1.0),
        pending=Spread(9.0, 9.0),
        system=Spread(10.0, 10.0),
        runtime=Spread(20.0, 20.0),
        model=Spread(5.0, 5.0),
        first_task=Spread(1e-9, 1e-9),
        read_gib=0.0,
        failure_share=0.0,
    )
    return replace(
        assumed,
        boot=boot,
        tasks={"sdwebui": replace(assumed.tasks["sdwebui"], seconds=TASK_S, spread=1.0)},
        scheduler=replace(assumed.scheduler, between_tasks_s=0.0, delivery_s=0.0, unannounced_share=0.0, lease_s=30.0),
        auto_scaling=replace(assumed.auto_scaling, termination_s=0.0),
        spot=replace(assumed.spot, together_share=1.0, together_s=0.0),
    )


def always() -> tuple[Zone, ...]:
    """A Spot market without an end."""
    return (Zone("here", [0.0], is_up_first=True),)


def arriving(*seconds: float, until: float = 0.0) -> Trace:
    return Trace("scene", array("d", seconds), max(until, *seconds))


def a_fleet(
    trace: Trace,
    *,
    least: int = 0,
    greatest: int = 5,
    initial: int = 0,
    zones: Sequence[Zone] | None = None,
    assumed: Assumptions | None = None,
    fallback_after: timedelta | None = None,
    on_demand_base: int = 0,
    on_demand_percentage: int = 0,
) -> Fleet:
    plan = FleetPlan(
        limits=Limits(least, greatest),
        initial=initial,
        fallback_after=fallback_after,
        on_demand_base=on_demand_base,
        on_demand_percentage=on_demand_percentage,
    )
    return Fleet(Scenario(fleet=plan), trace, assumed or certain(), always() if zones is None else zones)


def played(fleet: Fleet, policy: str) -> Fleet:
    """The fleet after the whole scene under this policy."""
    parts = build(policy, fleet)
    for part in parts:
        part.start()
    Observer(fleet, parts).start()
    fleet.run()
    return fleet


def waits(fleet: Fleet) -> list[float]:
    return [round(began - at, 6) for began, at in zip(fleet.ledger.began, fleet.trace.accepted, strict=True)]
