"""AWS's prices from the dated file beside this one, or from one of the user's in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from sdfleet.domain.cost import Prices
from sdfleet.errors import ConfigError

SHIPPED = Path(__file__).with_name("prices.yaml")


@dataclass(frozen=True)
class InstancePrice:
    """USD an hour."""

    spot: float
    on_demand: float


@dataclass(frozen=True)
class PriceList:
    regions: tuple[str, ...]
    #: Year and month of the list; single prices name older sources.
    as_of: str
    services: Prices
    instances: Mapping[str, InstancePrice]

    def require(self, region: str) -> None:
        """Raises:
        ConfigError: the list is of other regions.
        """
        if region not in self.regions:
            raise ConfigError(
                f"There are no prices for {region}, only for {' and '.join(self.regions)}; copy {SHIPPED}, put that"
                " region's in, and name the copy with --prices."
            )


def read_prices(path: Path = SHIPPED) -> PriceList:
    """Raises:
    ConfigError: no such file, or it does not have the form of the shipped one.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return PriceList(
            regions=tuple(values["regions"]),
            as_of=str(values["as_of"]),
            services=Prices(**{name: _usd(entry) for name, entry in values["prices"].items()}),
            instances={
                name: InstancePrice(spot=_usd(entry["spot"]), on_demand=_usd(entry["on_demand"]))
                for name, entry in values["instances"].items()
            },
        )
    except OSError as error:
        raise ConfigError(f"{path}: the prices cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError) as error:
        needed = ", ".join(field.name for field in fields(Prices))
        raise ConfigError(f"{path}: this is no list of prices ({error}); it needs regions, as_of, instances, and under"
                          f" prices: {needed}.") from error  # fmt: skip


def _usd(entry: Mapping[str, Any]) -> float:
    value = float(entry["usd"])
    if value < 0:
        raise ValueError(f"a price of {value} USD")
    return value
