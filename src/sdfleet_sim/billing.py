"""What a run costs, with everything counted: instances by the second, and each task's share of every service."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sdfleet.config import Config
from sdfleet.config.inventory import assumptions_of, inventory_of, machine_of
from sdfleet.config.prices import PriceList
from sdfleet.domain import cost
from sdfleet.domain.cost import Item, total_usd
from sdfleet.errors import ConfigError
from sdfleet_sim.instance import Purchase
from sdfleet_sim.ledger import Lived

_HOUR_S = 3600.0
_COMPUTE = "Amazon EC2"


@dataclass(frozen=True)
class Bill:
    #: Instances, by type and purchase option.
    compute: tuple[Item, ...]
    #: For each task and each hour of an instance, beside the instance.
    services: tuple[Item, ...]
    #: What stands there whether or not anybody asks, for the time that the run lasted.
    fixed: tuple[Item, ...]
    images: int

    @property
    def compute_usd(self) -> float:
        return total_usd(self.compute)

    @property
    def services_usd(self) -> float:
        return total_usd(self.services)

    @property
    def fixed_usd(self) -> float:
        return total_usd(self.fixed)

    @property
    def total_usd(self) -> float:
        return self.compute_usd + self.services_usd + self.fixed_usd

    @property
    def million_usd(self) -> float:
        """USD for a million images at this rate."""
        return self.total_usd / self.images * 1_000_000


def hour_usd(prices: PriceList, instance_type: str, purchase: Purchase) -> float:
    """Raises:
    ConfigError: nobody knows what the type costs.
    """
    if instance_type not in prices.instances:
        raise ConfigError(
            f"There is no price for {instance_type}; there are {', '.join(prices.instances)}. Bring your own list with"
            " --prices."
        )
    price = prices.instances[instance_type]
    return price.spot if purchase is Purchase.SPOT else price.on_demand


def hours_by_kind(lived: Iterable[Lived]) -> Mapping[tuple[str, str], float]:
    ordered = sorted((one.instance_type, one.purchase, one.billed_s) for one in lived)
    return {
        kind: sum(seconds for *_, seconds in group) / _HOUR_S
        for kind, group in itertools.groupby(ordered, key=lambda row: (row[0], row[1]))
    }


def bill(
    lived: Iterable[Lived],
    *,
    images: int,
    fleet_hours: float,
    fixed_hours: float,
    config: Config,
    prices: PriceList,
) -> Bill:
    """`fleet_hours`: for so long there was a fleet. `fixed_hours`: of what stands there anyway."""
    lived = tuple(lived)
    hours = hours_by_kind(lived)
    total_hours = sum(hours.values())
    compute = tuple(
        Item(_COMPUTE, f"hour of {kind}, {'Spot' if purchase == Purchase.SPOT else 'On-Demand'}", amount,
             hour_usd(prices, kind, Purchase(purchase)))
        for (kind, purchase), amount in hours.items()
    )  # fmt: skip
    kinds = [kind for kind, _ in hours] or [config.runtimes[0].fleet.instance_types[0]]
    machine = machine_of(config, prices, kinds[0])
    launches = max(1, len(lived))
    assumed = replace(assumptions_of(config), hours_per_launch=max(total_hours, 1e-9) / launches)
    services = (
        *cost.request_items(images, total_hours, machine, prices.services, assumed, has_api=config.has_api),
        *cost.further_items(images, total_hours, machine, prices.services, assumed, fleet_hours=fleet_hours),
    )
    share = fixed_hours / cost.HOURS
    fixed = cost.fixed_items(inventory_of(config), machine, prices.services)
    return Bill(
        compute,
        tuple(item for item in services if item.service != _COMPUTE),
        tuple(replace(item, quantity=item.quantity * share) for item in fixed if item.service != _COMPUTE),
        images,
    )
