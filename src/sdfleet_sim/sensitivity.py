"""How the result moves when one assumption is off by a third, upwards and downwards, and all others hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sdfleet.config.prices import InstancePrice, PriceList
from sdfleet_sim.assumptions import SHIPPED, Assumptions
from sdfleet_sim.experiment import Experiment

UP, DOWN = 4 / 3, 2 / 3


@dataclass(frozen=True)
class Point:
    """What is looked at."""

    queue_p95_s: float
    #: Instances and services.
    usd: float


@dataclass(frozen=True)
class Move:
    name: str
    down: Point
    up: Point

    def reach(self, base: Point) -> float:
        """How far at most it moves either figure, as a share."""
        return max(
            abs(point - at) / at
            for at, points in (
                (base.queue_p95_s, (self.down.queue_p95_s, self.up.queue_p95_s)),
                (base.usd, (self.down.usd, self.up.usd)),
            )
            if at
            for point in points
        )


def sensitivity(experiment: Experiment, policy: str, file: Path = SHIPPED) -> tuple[Point, tuple[Move, ...]]:
    """As assumed, and each assumption that the scenario uses; what moves most comes first."""
    base = _point(experiment, policy)
    moves = [
        Move(name, *(_point(replace(experiment, assumed=Assumptions.read(file, changed={name: factor})), policy)
                     for factor in (DOWN, UP)))
        for name in _names(experiment, policy)
    ]  # fmt: skip
    moves.append(
        Move(
            "price of an instance's hour",
            *(
                _point(replace(experiment, prices=_repriced(experiment.prices, factor)), policy)
                for factor in (DOWN, UP)
            ),
        )
    )
    return base, tuple(sorted(moves, key=lambda move: (-move.reach(base), move.name)))


def _point(experiment: Experiment, policy: str) -> Point:
    found = experiment.under(policy)
    return Point(found.queue_s.p95, found.bill.compute_usd + found.bill.services_usd)


def _names(experiment: Experiment, policy: str) -> Iterator[str]:
    scenario = experiment.scenario
    sections: Mapping[str, bool] = {
        "keda": policy.startswith("keda"),
        "cloudwatch": policy in ("step", "fast", "gpu"),
        "fast_scaler": policy.startswith("fast"),
        "gpu_utilisation": policy == "gpu",
    }
    for figure in experiment.assumed.figures:
        section, _, name = figure.name.partition(".")
        if section == "tasks" and name != scenario.runtime:
            continue
        if section == "machines" and name not in scenario.fleet.instance_types:
            continue
        if section == "markets":
            if name == scenario.market and not experiment.recorded:
                yield f"{figure.name}.zones"
                yield f"{figure.name}.region.down_share"
            continue
        # Off by a third of nothing is nothing.
        if sections.get(section, True) and any(value for _, value in figure.values):
            yield f"{figure.name}.seconds" if section == "tasks" else figure.name


def _repriced(prices: PriceList, factor: float) -> PriceList:
    return replace(
        prices,
        instances={
            name: InstancePrice(price.spot * factor, price.on_demand * factor)
            for name, price in prices.instances.items()
        },
    )
