"""Public Spot availability traces (skypilot-org/spot-traces), and what they say of a zone and of a region."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdfleet.errors import ConfigError

_HOUR_S = 3600.0
#: availability-2023-02-15-us-west-2a-v100.json
_NAME = re.compile(r"-\d{4}-\d\d-\d\d-(?P<zone>(?P<region>[a-z]+-[a-z]+-\d)[a-z])-")


@dataclass(frozen=True)
class SpotTrace:
    """How many instances could be had at each tick."""

    zone: str
    gap_s: float
    counts: tuple[int, ...]

    @property
    def is_up(self) -> tuple[bool, ...]:
        return tuple(count > 0 for count in self.counts)

    @property
    def region(self) -> str:
        return self.zone[:-1]


@dataclass(frozen=True)
class Measured:
    """A zone's, or of several: `availability` is a share of the time, runs are in hours."""

    availability: float
    mean_up_h: float
    mean_down_h: float
    longest_down_h: float


def load_trace(path: Path) -> SpotTrace:
    """Raises:
    ConfigError: it cannot be read, or is no trace.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        gap_s = float(document["metadata"]["gap_seconds"])
        counts = tuple(int(value) for value in document["data"])
    except OSError as error:
        raise ConfigError(f"{path}: the trace cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: this is no Spot trace; it needs metadata.gap_seconds and data, a list of whole numbers."
        ) from error
    if gap_s <= 0 or not counts or min(counts) < 0:
        raise ConfigError(f"{path}: this is no Spot trace: gaps are above 0 seconds, counts are 0 or more.")
    named = _NAME.search(path.name)
    return SpotTrace(named["zone"] if named else path.stem, gap_s, counts)


def load_traces(folder: Path) -> tuple[SpotTrace, ...]:
    """Every `availability-*.json` in the folder; raises ConfigError where there is none."""
    found = tuple(load_trace(path) for path in sorted(folder.glob("availability-*.json")))
    if not found:
        raise ConfigError(f"{folder}: there is no availability-*.json in it, as skypilot-org/spot-traces has them.")
    return found


def measure(is_up: Sequence[bool], gap_s: float) -> Measured:
    runs = [(up, sum(1 for _ in run)) for up, run in itertools.groupby(is_up)]
    ups = [length for up, length in runs if up]
    downs = [length for up, length in runs if not up]
    hours = gap_s / _HOUR_S
    return Measured(
        availability=sum(ups) / len(is_up),
        mean_up_h=sum(ups) / len(ups) * hours if ups else 0.0,
        mean_down_h=sum(downs) / len(downs) * hours if downs else 0.0,
        longest_down_h=max(downs, default=0) * hours,
    )


def measure_any(traces: Sequence[SpotTrace]) -> Measured:
    """Where one zone is enough: up while any is. The traces tick together."""
    return measure([any(ups) for ups in zip(*(trace.is_up for trace in traces), strict=False)], traces[0].gap_s)


def by_region(traces: Sequence[SpotTrace]) -> Mapping[str, tuple[SpotTrace, ...]]:
    regions: dict[str, list[SpotTrace]] = {}
    for trace in traces:
        regions.setdefault(trace.region, []).append(trace)
    return {region: tuple(members) for region, members in regions.items()}
