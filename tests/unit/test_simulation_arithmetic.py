"""The simulation's arithmetic, on scenes small enough to be reckoned by hand."""

from __future__ import annotations

from array import array

import pytest

from sdfleet.config.prices import read_prices
from sdfleet.domain.scaling import Limits
from sdfleet_sim.arrivals import Trace
from sdfleet_sim.billing import bill
from sdfleet_sim.experiment import standard_config
from sdfleet_sim.ledger import Ledger, Lived
from sdfleet_sim.outcome import Percentiles, decision_latencies
from sdfleet_sim.scenario import FleetPlan, Scenario
from sdfleet_sim.spot_market import Zone
from sim_scenes import BILLED_AFTER_S, BOOT_S, a_fleet, arriving, played, waits


def test_one_instance_takes_tasks_in_the_order_of_their_arrival() -> None:
    # Ten seconds each: the second waits 9, the third 18, the fourth finds nobody at work.
    fleet = played(a_fleet(arriving(0.0, 1.0, 2.0, 100.0), initial=1), "fixed")
    assert waits(fleet) == [0.0, 9.0, 18.0, 0.0]


def test_two_instances_halve_the_queue() -> None:
    fleet = played(a_fleet(arriving(0.0, 0.0, 0.0, 0.0, 0.0), initial=2), "fixed")
    assert waits(fleet) == [0.0, 0.0, 10.0, 10.0, 20.0]


def test_a_fleet_at_zero_is_woken_within_half_a_second_and_boots() -> None:
    fleet = played(a_fleet(arriving(100.0)), "fast-alone")
    assert fleet.ledger.capacities[1] == (100.5, 1)
    assert waits(fleet) == [0.5 + BOOT_S]


def test_an_instance_is_billed_from_running_to_its_end() -> None:
    # Ordered at 100.5, running at 110.5, at work from 140.5 to 150.5, idle until the last one's time is up.
    fleet = played(a_fleet(arriving(100.0)), "fast-alone")
    (one,) = fleet.ledger.lived
    assert one.billed_from == 100.5 + BILLED_AFTER_S
    assert one.busy_s == pytest.approx(10.0)
    gone = one.billed_from + one.billed_s
    assert 150.5 + 300 <= gone <= 150.5 + 300 + 60


def test_less_than_a_minute_is_billed_as_one() -> None:
    fleet = a_fleet(arriving(0.0), initial=1)
    fleet.at(20.0, lambda _: fleet.finish())
    ledger = fleet.run()
    assert [one.billed_s for one in ledger.lived] == [60.0]


def test_step_scaling_sees_the_queue_a_minute_late_and_adds_what_the_table_says() -> None:
    # 60 tasks ask for two instances: between 60 and 180 seconds after they came.
    fleet = played(a_fleet(arriving(*[10.0] * 60)), "step")
    at, capacity = fleet.ledger.capacities[1]
    assert capacity == 2
    assert 60.0 <= at - 10.0 <= 180.0


def test_kubernetes_grows_by_four_or_by_a_hundred_percent_at_a_time() -> None:
    fleet = played(a_fleet(arriving(*[0.0] * 1000), greatest=30), "keda-1s")
    assert [capacity for _, capacity in fleet.ledger.capacities[:6]] == [0, 1, 5, 10, 20, 30]


def test_a_task_that_ends_within_the_notice_is_not_lost() -> None:
    fleet = a_fleet(arriving(0.0), initial=1)
    fleet.at(5.0, lambda _: fleet.interrupt(next(iter(fleet.instances.values())), left_s=100.0))
    ledger = played(fleet, "fixed").ledger
    assert (ledger.done, ledger.redone, ledger.lost_s) == (1, 0, 0.0)


def test_a_task_that_does_not_end_in_time_is_done_again_by_another_at_once() -> None:
    # Begun at 0, given up at 5; the second instance is busy until 10.
    fleet = a_fleet(arriving(0.0, 0.0), initial=2)
    fleet.at(5.0, lambda _: fleet.interrupt(next(iter(fleet.instances.values())), left_s=1.0))
    ledger = played(fleet, "fixed").ledger
    assert (ledger.done, ledger.redone, ledger.lost_s) == (2, 1, 5.0)
    assert sorted(waits(fleet)) == [0.0, 10.0]


def test_a_zone_that_goes_down_takes_its_instances_and_the_group_replaces_them_elsewhere() -> None:
    zones = (Zone("a", [0.0, 50.0, 100_000.0], is_up_first=True), Zone("b", [0.0], is_up_first=True))
    fleet = a_fleet(arriving(0.0, 400.0), initial=1, zones=zones)
    ledger = played(fleet, "fixed").ledger
    assert ledger.interruptions == 1
    assert [one.purchase for one in ledger.lived] == ["spot", "spot"]
    assert waits(fleet) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("capacity", "base", "percentage", "on_demand"),
    [(0, 1, 0, 0), (1, 1, 0, 1), (5, 1, 0, 1), (5, 1, 50, 3), (4, 0, 25, 1), (5, 0, 25, 2), (3, 0, 0, 0)],
)
def test_on_demand_is_the_base_and_the_percentage_rounded_up(
    capacity: int, base: int, percentage: int, on_demand: int
) -> None:
    assert FleetPlan(on_demand_base=base, on_demand_percentage=percentage).on_demand_of(capacity) == on_demand


def test_percentiles_are_the_nearest_rank() -> None:
    found = Percentiles.of([float(value) for value in range(1, 101)])
    assert (found.p50, found.p90, found.p95, found.p99, found.most, found.mean) == (50, 90, 95, 99, 100, 50.5)
    assert Percentiles.of([3.0, 1.0]).p50 == 1.0


def test_a_decision_is_late_by_the_time_from_a_task_to_the_next_raise() -> None:
    # At zero every task calls for capacity; with what was asked for at 30 the third is reached in time.
    trace = Trace("scene", array("d", [0.0, 20.0, 40.0]), 40.0)
    ledger = Ledger(3)
    ledger.asked_for(30.0, 1)
    ledger.began[:] = array("d", [70.0, 80.0, 90.0])
    ledger.done, ledger.busy_s = 3, 30.0
    assert decision_latencies(trace, ledger, Scenario(fleet=FleetPlan(limits=Limits(0, 5))), boot_s=40.0) == [
        30.0,
        10.0,
    ]


def test_hours_are_counted_once_however_many_instances_there_are() -> None:
    ledger = Ledger(0)
    ledger.lived = [Lived("a", "spot", 0.0, 100.0, 0.0), Lived("a", "spot", 50.0, 100.0, 0.0),
                    Lived("a", "spot", 500.0, 10.0, 0.0)]  # fmt: skip
    assert ledger.fleet_s() == 160.0


def test_the_bill_is_hours_by_price_and_every_services_share() -> None:
    lived = [Lived("g5.2xlarge", "spot", 0.0, 3600.0 * 400, 0.0), Lived("g5.2xlarge", "on-demand", 0.0, 36_000.0, 0.0)]
    due = bill(lived, images=1_000_000, fleet_hours=400, fixed_hours=73, config=standard_config(), prices=read_prices())
    assert due.compute_usd == pytest.approx(400 * 0.4968 + 10 * 1.212)
    by_unit = {item.unit: item for item in due.services}
    assert by_unit["1K PUT requests"].total_usd == pytest.approx(10.0)
    # Two launches of 40 GiB; twenty metrics for 400 of 730 hours, and none of an instance alone.
    assert by_unit["GB initialised at a rate"].quantity == pytest.approx(80.0)
    assert by_unit["custom metric-month"].quantity == pytest.approx(20 * 400 / 730)
    assert {item.unit: item.quantity for item in due.fixed}["alarm metric"] == pytest.approx(1.5)
    assert due.total_usd == pytest.approx(due.compute_usd + due.services_usd + due.fixed_usd)
