"""What the simulation takes for granted: read from one file, each figure with its source, each movable by a factor."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import yaml

from sdfleet.errors import ConfigError

SHIPPED = Path(__file__).with_name("assumptions.yaml")
#: How a figure came to be known.
_ORIGINS = ("read", "computed", "guessed")
#: Standard normal deviate of the 95th percentile.
_P95 = 1.6449


@dataclass(frozen=True)
class Spread:
    """A lognormal distribution: what takes time in computers is rarely quicker and often slower than usual."""

    median: float
    p95: float

    @property
    def sigma(self) -> float:
        return math.log(self.p95 / self.median) / _P95

    @property
    def mean(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2)


@dataclass(frozen=True)
class BootAssumptions:
    """Seconds, in their order; runtime and model go side by side."""

    launch_call: Spread
    pending: Spread
    system: Spread
    runtime: Spread
    model: Spread
    first_task: Spread
    #: GiB that the runtime's start reads from the root volume.
    read_gib: float
    failure_share: float
    failure_s: float

    @property
    def typical_s(self) -> float:
        """From the order to the first task, at the median of each part."""
        loading = max(self.runtime.median, self.model.median)
        return self.launch_call.median + self.pending.median + self.system.median + loading + self.first_task.median


@dataclass(frozen=True)
class TaskAssumptions:
    """Seconds of GPU on the reference machine: the median, and the 95th percentile over it."""

    seconds: float
    spread: float


@dataclass(frozen=True)
class MachineAssumptions:
    #: Seconds of a task on this type over seconds on the reference machine.
    pace: float


@dataclass(frozen=True)
class SchedulerAssumptions:
    between_tasks_s: float
    delivery_s: float
    #: Idle for less, an instance says nothing of it.
    idle_told_s: float
    interruption_notice_s: float
    unannounced_share: float
    #: A task whose instance died without a word is seen again after so long.
    lease_s: float


@dataclass(frozen=True)
class AutoScalingAssumptions:
    termination_s: float
    spot_retry_s: float
    #: Between two steps of exchanging On-Demand for Spot instances.
    exchange_s: float
    warm_up_s: float
    idle_after_s: float


@dataclass(frozen=True)
class CloudWatchAssumptions:
    period_s: float
    publish_s: float
    evaluation_s: float


@dataclass(frozen=True)
class FastScalerAssumptions:
    wake_s: float
    #: 1: a task handed in while idle instances wait for their end makes it look at once; 0: it looks a minute later.
    called_at_rest: float


@dataclass(frozen=True)
class KedaAssumptions:
    queue_length: float
    cooldown_s: float
    sync_s: float
    growth_pods: float
    stabilisation_s: float
    grace_s: float
    node_s: float


@dataclass(frozen=True)
class GpuUtilisationAssumptions:
    target: float
    datapoints: float


@dataclass(frozen=True)
class SpotAssumptions:
    together_share: float
    together_s: float


@dataclass(frozen=True)
class ZoneAssumptions:
    """Mean hours for which the zone has Spot capacity, and has none."""

    up_h: float
    down_h: float


@dataclass(frozen=True)
class RegionAssumptions:
    """Outages of all zones at once: share of the time, and mean length."""

    down_share: float
    down_h: float


@dataclass(frozen=True)
class MarketAssumptions:
    zones: Mapping[str, ZoneAssumptions]
    region: RegionAssumptions


@dataclass(frozen=True)
class Figure:
    """One row of the file, for the report."""

    name: str
    values: tuple[tuple[str, float], ...]
    #: read, computed or guessed.
    origin: str
    source: str


@dataclass(frozen=True)
class Assumptions:
    boot: BootAssumptions
    tasks: Mapping[str, TaskAssumptions]
    machines: Mapping[str, MachineAssumptions]
    scheduler: SchedulerAssumptions
    auto_scaling: AutoScalingAssumptions
    cloudwatch: CloudWatchAssumptions
    fast_scaler: FastScalerAssumptions
    keda: KedaAssumptions
    gpu_utilisation: GpuUtilisationAssumptions
    spot: SpotAssumptions
    markets: Mapping[str, MarketAssumptions]
    figures: tuple[Figure, ...]

    @classmethod
    def read(cls, path: Path = SHIPPED, *, changed: Mapping[str, float] | None = None) -> Self:
        """`changed`: factors by dotted name; every number at or below the name is multiplied.

        Raises:
            ConfigError: no such file, or it lacks a figure, a source, or has a name that nothing reads.
        """
        try:
            tree = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
            for name, factor in (changed or {}).items():
                _multiply(tree, name, factor)
            return cls(
                boot=_section(BootAssumptions, tree["boot"]),
                tasks={name: _section(TaskAssumptions, entry) for name, entry in tree["tasks"].items()},
                machines={name: _section(MachineAssumptions, entry) for name, entry in tree["machines"].items()},
                scheduler=_section(SchedulerAssumptions, tree["scheduler"]),
                auto_scaling=_section(AutoScalingAssumptions, tree["auto_scaling"]),
                cloudwatch=_section(CloudWatchAssumptions, tree["cloudwatch"]),
                fast_scaler=_section(FastScalerAssumptions, tree["fast_scaler"]),
                keda=_section(KedaAssumptions, tree["keda"]),
                gpu_utilisation=_section(GpuUtilisationAssumptions, tree["gpu_utilisation"]),
                spot=_section(SpotAssumptions, tree["spot"]),
                markets={
                    name: MarketAssumptions(
                        {zone: _section(ZoneAssumptions, figures) for zone, figures in entry["zones"].items()},
                        _section(RegionAssumptions, entry["region"]),
                    )
                    for name, entry in tree["markets"].items()
                },
                figures=tuple(_figures(tree, "")),
            )
        except OSError as error:
            raise ConfigError(f"{path}: the assumptions cannot be read: {error.strerror}.") from error
        except KeyError as error:
            raise ConfigError(f"{path}: there is no {error}; the shipped file has every name: {SHIPPED}.") from error
        except (yaml.YAMLError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{path}: these are no assumptions: {error}.") from error


@lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    """A sensitivity table reads the same file eighty times."""
    return yaml.safe_load(text)


def _section(kind: type[Any], entry: Mapping[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}
    unknown = entry.keys() - known - set(_ORIGINS)
    if unknown:
        raise ValueError(f"{kind.__name__} knows no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    return kind(**{field.name: _value(entry[field.name]) for field in fields(kind)})


def _value(entry: Any) -> Any:
    if isinstance(entry, Mapping):
        return _number(entry["value"]) if "value" in entry else _section(Spread, entry)
    return _number(entry)


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{value} is no figure; it must be 0 or more")
    return number


def _figures(node: Mapping[str, Any], prefix: str) -> Iterator[Figure]:
    for name, entry in node.items():
        if not isinstance(entry, Mapping):
            continue
        origin = next((one for one in _ORIGINS if one in entry), None)
        if origin is not None:
            yield Figure(prefix + name, tuple(_leaves(entry, "")), origin, str(entry[origin]))
        elif all(not isinstance(child, Mapping) for child in entry.values()):
            raise ValueError(f"{prefix}{name} has no source: say {', '.join(_ORIGINS[:-1])} or {_ORIGINS[-1]}")
        else:
            yield from _figures(entry, f"{prefix}{name}.")


def _leaves(entry: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in entry.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif name not in _ORIGINS:
            yield prefix + name, float(value)


def _multiply(node: dict[str, Any], name: str, factor: float) -> None:
    """Names of machines have dots of their own."""
    for key, child in node.items():
        if name == key:
            node[key] = _times(child, factor)
            return
        if name.startswith(f"{key}.") and isinstance(child, dict):
            _multiply(child, name[len(key) + 1 :], factor)
            return
    raise KeyError(name)


def _times(node: Any, factor: float) -> Any:
    if isinstance(node, dict):
        return {key: value if key in _ORIGINS else _times(value, factor) for key, value in node.items()}
    return float(node) * factor
