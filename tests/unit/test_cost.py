"""The bill: the EKS guidance's table comes out as printed, ours follows the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sdfleet.config import (
    Config,
    FleetConfig,
    ImagePipelineConfig,
    NetworkConfig,
    RetentionConfig,
    RuntimeConfig,
    placed,
)
from sdfleet.config.api import ApiGatewayConfig
from sdfleet.config.inventory import INSTANCE_METRICS, assumptions_of, inventory_of, machine_of
from sdfleet.config.network import Egress
from sdfleet.config.prices import SHIPPED, PriceList, read_prices
from sdfleet.domain import cost
from sdfleet.domain.cost import Assumptions, Inventory, Item, Machine, total_usd
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError

MILLION = 1_000_000


@pytest.fixture(scope="module")
def prices() -> PriceList:
    return read_prices()


def a_machine(**changes: object) -> Machine:
    return replace(Machine("g5.2xlarge", spot_hour_usd=0.4968, on_demand_percentage=0), **changes)  # type: ignore[arg-type]


def an_empty_inventory() -> Inventory:
    return Inventory(0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)


def a_config(**fleet: object) -> Config:
    runtime = RuntimeConfig(name="a", type=RuntimeType.COMFYUI, fleet=FleetConfig(**fleet))  # type: ignore[arg-type]
    return Config(runtimes=(runtime,))


def quantity(items: tuple[Item, ...], unit: str) -> float:
    (item,) = [item for item in items if item.unit == unit]
    return item.quantity


def test_the_guidances_table_comes_out_as_printed() -> None:
    per_million = cost.eks_guidance_request_items(MILLION, 1.5)
    assert round(total_usd(per_million), 2) == 226.18
    assert [round(item.total_usd, 2) for item in per_million] == [207.0, 3.5, 0.21, 0.2, 0.5, 0.69, 0.8, 10.0, 3.29]
    assert round(total_usd(cost.eks_guidance_fixed_items()), 2) == 210.24


def test_its_gpu_hours_follow_images_and_seconds() -> None:
    assert cost.gpu_hours(MILLION, 1.5) == pytest.approx(416.67, abs=0.01)
    doubled = cost.eks_guidance_request_items(MILLION, 3.0)
    assert doubled[0].total_usd == pytest.approx(414.0)


def test_on_the_same_machine_an_image_takes_the_same_gpu_money(prices: PriceList) -> None:
    ours = cost.request_items(MILLION, 1250 / 3, a_machine(), prices.services, Assumptions(), has_api=True)
    assert ours[0].total_usd == pytest.approx(207.0)


def test_the_rows_stand_beside_the_guidances(prices: PriceList) -> None:
    ours = cost.request_items(MILLION, 1.0, a_machine(), prices.services, Assumptions(), has_api=True)
    theirs = cost.eks_guidance_request_items(MILLION, 1.5)
    assert [(item.service, item.unit) for item in ours[1:]] == [(item.service, item.unit) for item in theirs[1:]]


def test_what_grows_with_images_grows_in_proportion(prices: PriceList) -> None:
    machine, assumed = a_machine(), Assumptions()
    once, twice = (
        total_usd(cost.request_items(images, hours, machine, prices.services, assumed, has_api=True))
        for images, hours in ((MILLION, 100.0), (2 * MILLION, 200.0))
    )
    assert twice == pytest.approx(2 * once)


def test_without_an_api_its_requests_cost_nothing(prices: PriceList) -> None:
    items = cost.request_items(MILLION, 1.0, a_machine(), prices.services, Assumptions(), has_api=False)
    assert quantity(items, "1M REST API requests") == 0


@pytest.mark.parametrize(("share", "usd"), [(0, 0.4), (25, 0.55), (100, 1.0)])
def test_an_hour_mixes_spot_and_on_demand(share: int, usd: float) -> None:
    machine = a_machine(spot_hour_usd=0.4, on_demand_hour_usd=1.0, on_demand_percentage=share)
    assert cost.machine_hour_usd(machine) == pytest.approx(usd)


def test_a_volume_is_billed_above_what_its_price_includes_only(prices: PriceList) -> None:
    machine = a_machine(volume_gib=80, volume_iops=4000, volume_throughput=300)
    items = cost.further_items(0, cost.HOURS, machine, prices.services, Assumptions())
    assert [item.quantity for item in items if item.service == "Amazon EBS"] == [80, 1000, 175, 0]


def test_each_launch_fills_a_volume(prices: PriceList) -> None:
    machine = a_machine(initialized_gib=40.0)
    items = cost.further_items(0, 80.0, machine, prices.services, Assumptions(hours_per_launch=8.0))
    assert quantity(items, "GB initialised at a rate") == 400


def test_backups_cost_nothing_where_there_are_none(prices: PriceList) -> None:
    def backed_up_gb(days: int | None) -> float:
        assumed = assumptions_of(Config(retention=RetentionConfig(backup_days=days)))
        items = cost.further_items(MILLION, 1.0, a_machine(), prices.services, assumed)
        return quantity(items, "GB-month of backups")

    assert backed_up_gb(None) == 0
    recorded_gb = MILLION * Assumptions().record_kib / 1024**2
    assert backed_up_gb(1) == backed_up_gb(35) == pytest.approx(recorded_gb)


def test_instances_have_metrics_of_their_own_where_they_are_wanted(prices: PriceList) -> None:
    def metric_months(*, wanted: bool) -> float:
        assumed = assumptions_of(a_config(instance_metrics=wanted))
        items = cost.further_items(0, 20 * cost.HOURS, a_machine(), prices.services, assumed, fleet_hours=cost.HOURS)
        return quantity(items, "custom metric-month")

    # Twenty instances for a month.
    assert metric_months(wanted=True) - metric_months(wanted=False) == 20 * INSTANCE_METRICS


def test_as_many_requests_are_traced_as_the_configuration_says(prices: PriceList) -> None:
    def traced(**gateway: float) -> float:
        assumed = assumptions_of(Config(api_gateway=ApiGatewayConfig(**gateway)))  # type: ignore[arg-type]
        return quantity(cost.further_items(MILLION, 1.0, a_machine(), prices.services, assumed), "1M traces")

    assert traced() == pytest.approx(0.01)
    assert [traced(traced_percentage=share) for share in (0, 0.5, 100)] == pytest.approx([0, 0.005, 1])


@pytest.mark.parametrize("config", [Config(api=False), placed(Config(), "cn-north-1")], ids=["no API", "China"])
def test_where_there_is_no_traced_api_nothing_is_traced(config: Config) -> None:
    assert assumptions_of(config).traced == 0


def test_an_idle_deployment_in_us_west_2_costs_fifteen_dollars_at_most(prices: PriceList) -> None:
    prices.require("us-west-2")
    config = Config()
    assert total_usd(cost.fixed_items(inventory_of(config), machine_of(config, prices), prices.services)) <= 15


def test_so_does_one_with_the_image_pipeline(prices: PriceList) -> None:
    config = Config(image_pipeline=ImagePipelineConfig(enabled=True))
    items = cost.fixed_items(inventory_of(config), machine_of(config, prices), prices.services)
    assert quantity(items, "GB-month of AMI snapshots") > 0
    assert total_usd(items) <= 15


def test_what_there_is_none_of_has_no_row(prices: PriceList) -> None:
    assert cost.fixed_items(an_empty_inventory(), a_machine(), prices.services) == ()


def test_every_kind_of_thing_that_stands_there_has_a_price(prices: PriceList) -> None:
    everything = Inventory(*(1 for _ in an_empty_inventory().__dataclass_fields__))
    items = cost.fixed_items(everything, a_machine(), prices.services)
    assert len(items) == len(an_empty_inventory().__dataclass_fields__)
    assert all(item.total_usd > 0 for item in items)


def test_the_inventory_counts_per_fleet() -> None:
    one, two = a_config(), Config(runtimes=(*a_config().runtimes, RuntimeConfig(name="b", type=RuntimeType.COMFYUI)))
    fewer, more = inventory_of(one), inventory_of(two)
    assert more.alarm_metrics - fewer.alarm_metrics == 12
    assert more.event_source_queues == fewer.event_source_queues == 2


def test_the_sweeper_looks_into_each_dead_letter_queue_once_a_minute(prices: PriceList) -> None:
    minutes = 60 * 730
    assert inventory_of(a_config()).scheduled_receives == 2 * minutes
    items = cost.fixed_items(inventory_of(a_config()), a_machine(), prices.services)
    (asked,) = [item for item in items if item.unit == "1M requests of schedules" and item.service == "Amazon SQS"]
    assert asked.total_usd == pytest.approx(2 * minutes * 0.4e-6)


def test_a_dashboard_is_counted_where_it_is_wanted() -> None:
    assert [inventory_of(Config(dashboard=wanted)).dashboards for wanted in (False, True)] == [0, 1]


def test_gateways_and_endpoints_are_counted_where_they_are_wanted() -> None:
    def with_egress(egress: Egress) -> Inventory:
        return inventory_of(Config(network=NetworkConfig(egress=egress)))

    assert (with_egress(Egress.PUBLIC).nat_gateways, with_egress(Egress.PUBLIC).interface_endpoints) == (0, 0)
    assert (with_egress(Egress.NAT).nat_gateways, with_egress(Egress.NAT).public_addresses) == (3, 3)
    assert with_egress(Egress.ENDPOINTS).interface_endpoints == 27


def test_an_existing_networks_gateways_are_not_ours_to_count() -> None:
    network = NetworkConfig(vpc_id="vpc-12345678", subnet_ids=("subnet-12345678",), egress=Egress.NAT)
    assert inventory_of(Config(network=network)).nat_gateways == 0


def test_instances_that_always_run_are_fixed_cost() -> None:
    assert inventory_of(a_config(min_size=2)).instances == 2


def test_the_guidances_type_is_taken_where_the_fleet_has_it(prices: PriceList) -> None:
    assert machine_of(Config(), prices).instance_type == "g5.2xlarge"
    assert machine_of(a_config(instance_types=("g6.xlarge", "g4dn.xlarge")), prices).instance_type == "g6.xlarge"
    assert machine_of(Config(), prices, "g4dn.xlarge").spot_hour_usd == prices.instances["g4dn.xlarge"].spot


def test_a_type_without_a_price_is_named(prices: PriceList) -> None:
    with pytest.raises(ConfigError, match=r"no price for any of p5\.48xlarge; there are g5"):
        machine_of(a_config(instance_types=("p5.48xlarge",)), prices)


def test_a_region_without_prices_is_named(prices: PriceList) -> None:
    with pytest.raises(ConfigError, match="no prices for cn-north-1, only for us-east-1 and us-west-2"):
        prices.require("cn-north-1")


def test_every_price_says_where_it_is_from() -> None:
    lines = [line for line in SHIPPED.read_text().splitlines() if "usd:" in line]
    assert lines
    assert [line for line in lines if "read:" not in line] == []


@pytest.mark.parametrize(
    "text", ["", "regions: [a]", "- 1", "regions: [a]\nas_of: x\nprices: {a: {usd: 1}}\ninstances: {}"]
)
def test_a_list_of_another_form_is_a_clear_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="this is no list of prices"):
        read_prices(file)


def test_a_negative_price_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(SHIPPED.read_text().replace("{usd: 3.50", "{usd: -3.50"))
    with pytest.raises(ConfigError, match=r"-3\.5"):
        read_prices(file)
