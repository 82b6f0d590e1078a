"""What the issue asks of the simulation, seen on its own cases; and what the policies do in scenes of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from sdfleet.domain import fleet_decision
from sdfleet.domain.scaling import Limits
from sdfleet_sim import arrivals
from sdfleet_sim.assumptions import Assumptions
from sdfleet_sim.cases import CASES
from sdfleet_sim.experiment import Experiment, standard_config
from sdfleet_sim.outcome import Outcome, as_document
from sdfleet_sim.run import run
from sdfleet_sim.scenario import FleetPlan, RolloutPlan, Scenario
from sdfleet_sim.sensitivity import sensitivity
from sdfleet_sim.spot_market import Zone
from sdfleet_sim.study import experiment
from sim_scenes import a_fleet, arriving, played

#: The first one's market begins with an outage of the whole region.
SEEDS, OUTAGE = (2, 3), 1


def under(case: str, policy: str, seed: int) -> Outcome:
    return experiment(CASES[case], seed, is_fixed=policy == "fixed").under(policy)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flash_crowd_waits_half_as_long_as_with_step_policies_and_costs_no_more(seed: int) -> None:
    ours, step = under("burst", "fast", seed), under("burst", "step", seed)
    assert ours.queue_s.p95 <= step.queue_s.p95 / 2
    assert ours.bill.total_usd <= 1.1 * step.bill.total_usd


def test_without_spot_the_crowd_is_served_at_on_demand_prices_and_sooner_than_spot_comes_back() -> None:
    ours, step = under("burst", "fast", OUTAGE), under("burst", "step", OUTAGE)
    assert ours.on_demand_hours > 0 == step.on_demand_hours
    assert ours.queue_s.p95 <= step.queue_s.p95 / 2


@pytest.mark.parametrize("case", ["quiet", "burst"])
@pytest.mark.parametrize("seed", SEEDS)
def test_capacity_is_asked_for_within_ten_seconds_where_step_policies_take_minutes(case: str, seed: int) -> None:
    assert under(case, "fast", seed).decision_s.p95 <= 10
    assert under(case, "step", seed).decision_s.p95 >= 60


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quiet_night_costs_less_than_eight_percent_of_an_instance_that_is_always_on(seed: int) -> None:
    ours, always_on = under("quiet", "fast", seed).bill, under("quiet", "fixed", seed).bill
    # What stands there anyway is the same for both.
    assert ours.compute_usd + ours.services_usd <= 0.08 * (always_on.compute_usd + always_on.services_usd)


def test_what_a_rush_has_ordered_does_not_stay_under_the_steady_load_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = arrivals.constant(20, 3600, seed=1)
    begun = Experiment(Scenario(market="calm", fleet=FleetPlan(limits=Limits(0, 80)), seed=1), trace)
    ours = begun.under("fast")
    monkeypatch.setattr(fleet_decision, "SPARE", 1000.0)
    kept = begun.under("fast")
    # 30 are at work all the time; the rush of the first minutes has ordered all 80.
    assert (ours.most_instances, kept.most_instances) == (80, 80)
    assert kept.idle_share >= 0.5
    assert ours.spot_hours <= 0.7 * kept.spot_hours
    assert ours.queue_s.p95 <= kept.queue_s.p95 + 1
    # Nothing that has been let go is ordered again.
    assert ours.launches == kept.launches


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again = (json.dumps(as_document(under("burst", "fast", 4)), sort_keys=True) for _ in range(2))
    assert first == again
    assert first != json.dumps(as_document(under("burst", "fast", 5)), sort_keys=True)


def test_every_task_is_done_once_whatever_the_market_does() -> None:
    trace = arrivals.constant(1, 2 * 3600, seed=1)
    for policy in ("fast", "step", "keda-30s", "gpu", "fixed"):
        plan = FleetPlan(initial=6 if policy == "fixed" else 0)
        found = Experiment(Scenario(market="us-east-1", fleet=plan, seed=2), trace).under(policy)
        assert found.done == len(trace), policy


def test_without_spot_on_demand_steps_in_after_its_time_and_spot_comes_back() -> None:
    # No Spot for the first hour; a task a second all the time.
    zones = (Zone("here", [0.0, 3600.0], is_up_first=False),)
    trace = arriving(*[float(second) for second in range(7200)])
    fleet = a_fleet(trace, zones=zones, greatest=20, fallback_after=timedelta(minutes=5))
    ledger = played(fleet, "fast-alone").ledger
    on_demand = [one for one in ledger.lived if one.purchase == "on-demand"]
    assert on_demand
    assert min(one.billed_from for one in on_demand) >= 300
    assert any(one.purchase == "spot" and one.billed_from > 3600 for one in ledger.lived)
    # Exchanged, not kept until the queue is empty.
    assert max(one.billed_from + one.billed_s for one in on_demand) < 7200


def test_a_rollout_replaces_everybody_and_loses_nothing() -> None:
    trace = arrivals.constant(4, 2 * 3600, seed=1)
    plan = FleetPlan(initial=10)
    scenario = Scenario(fleet=plan, market="calm", seed=1)
    calm = Experiment(scenario, trace).under("fixed")
    rolled = Experiment(replace(scenario, rollout=RolloutPlan(600.0)), trace).under("fixed")
    assert rolled.launches == calm.launches + 10
    assert (rolled.done, rolled.redone) == (len(trace), 0)
    assert rolled.queue_s.p95 <= calm.queue_s.p95 + 1


def test_a_release_that_does_not_boot_stops_growing_instead_of_paying_for_ever() -> None:
    assumed = Assumptions.read()
    broken = replace(assumed, boot=replace(assumed.boot, failure_share=1.0))
    trace = arrivals.burst(500, 10, seed=1)
    scenario = Scenario(market="calm", fleet=FleetPlan(), patience=timedelta(hours=6))
    ledger = run(scenario, "fast-alone", trace, broken, (Zone("here", [0.0], is_up_first=True),))
    assert ledger.done == 0
    hours = sum(one.billed_s for one in ledger.lived) / 3600
    # Fifty at first; then one at a time, ten minutes each.
    assert hours < 50 * 600 / 3600 + 6 * 1.5


def test_each_assumption_is_moved_alone_and_what_moves_most_comes_first() -> None:
    trace = arrivals.burst(50, 10, seed=1)
    small = Experiment(Scenario(market="calm", seed=1), trace, config=standard_config())
    base, moves = sensitivity(small, "fast")
    names = [move.name for move in moves]
    assert len(names) == len(set(names)) > 20
    assert not [name for name in names if name.startswith(("keda", "gpu", "tasks.video", "markets.us"))]
    reaches = [move.reach(base) for move in moves]
    assert reaches == sorted(reaches, reverse=True)
    dearer = next(move for move in moves if move.name == "price of an instance's hour")
    assert dearer.down.usd < base.usd < dearer.up.usd
    assert dearer.up.queue_p95_s == base.queue_p95_s
