"""When tasks are accepted: made from a few numbers and a seed, or read from a file."""

from __future__ import annotations

import csv
import math
import random
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sdfleet.errors import ConfigError

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


@dataclass(frozen=True)
class Trace:
    """Tasks to come. `accepted`: seconds from the beginning, rising."""

    name: str
    accepted: array[float]
    #: The fleet is looked at for so long at least, whenever the last task came.
    duration_s: float

    def __len__(self) -> int:
        return len(self.accepted)


def constant(rate: float, duration_s: float, seed: int, *, name: str = "constant") -> Trace:
    """A Poisson process of `rate` tasks a second."""
    return Trace(name, _poisson(lambda _: rate, rate, duration_s, seed), duration_s)


def evenly(rate: float, duration_s: float, *, name: str = "evenly") -> Trace:
    """One task every 1/`rate` seconds, without any chance."""
    count = math.floor(rate * duration_s)
    return Trace(name, array("d", (index / rate for index in range(count))), duration_s)


def daily(peak: float, seed: int, *, days: float = 1.0, trough_share: float = 0.1, name: str = "daily") -> Trace:
    """A day's curve: `peak` tasks a second at 15:00, `trough_share` of it at 03:00; begins at midnight."""

    def rate(at: float) -> float:
        height = (1 - math.cos(2 * math.pi * (at - 3 * _HOUR_S) / _DAY_S)) / 2
        return peak * (trough_share + (1 - trough_share) * height)

    return Trace(name, _poisson(rate, peak, days * _DAY_S, seed), days * _DAY_S)


def burst(count: int, over_s: float, seed: int, *, at_s: float = 60.0, name: str = "burst") -> Trace:
    """`count` tasks within `over_s` seconds on a fleet that had none before."""
    draw = random.Random(f"{seed}/{name}")
    times = sorted(at_s + over_s * draw.random() for _ in range(count))
    return Trace(name, array("d", times), at_s + over_s)


def singles(count: int, duration_s: float, seed: int, *, name: str = "quiet") -> Trace:
    """Single tasks, each somewhere in its own part of the time."""
    draw = random.Random(f"{seed}/{name}")
    part = duration_s / count
    # Not within the last tenth of its part: two single tasks are not one busy moment.
    return Trace(name, array("d", (part * (index + 0.9 * draw.random()) for index in range(count))), duration_s)


def from_csv(path: Path) -> Trace:
    """One column of seconds from the beginning, with or without a heading; or two: seconds, and how many tasks.

    Raises:
        ConfigError: the line that cannot be read, and why.
    """
    times = array("d")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row or (number == 1 and not _is_number(row[0])):
                    continue
                at, count = _row(path, number, row)
                times.extend([at] * count)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is no text file in UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path}: the arrivals cannot be read: {error.strerror}.") from error
    if not times:
        raise ConfigError(f"{path}: there is no arrival in it; give one time in seconds a line.")
    ordered = array("d", sorted(times))
    return Trace(path.stem, ordered, ordered[-1])


def _row(path: Path, number: int, row: list[str]) -> tuple[float, int]:
    if len(row) > 2:
        raise ConfigError(f"{path}:{number}: {len(row)} columns; there may be two: seconds, and how many tasks.")
    try:
        at = float(row[0])
        count = int(row[1]) if len(row) == 2 else 1
    except ValueError as error:
        raise ConfigError(f"{path}:{number}: {','.join(row)!r} is no time in seconds, or no count of tasks.") from error
    if not math.isfinite(at) or at < 0 or count < 0:
        raise ConfigError(f"{path}:{number}: {','.join(row)!r}: times and counts are 0 or more.")
    return at, count


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _poisson(rate: Callable[[float], float], most: float, duration_s: float, seed: int) -> array[float]:
    """Thinning (Lewis and Shedler): candidates at the greatest rate, each kept with its own rate's share."""
    draw = random.Random(f"{seed}/arrivals")
    times = array("d")
    at = draw.expovariate(most)
    while at < duration_s:
        here = rate(at)
        if here >= most or draw.random() * most < here:
            times.append(at)
        at += draw.expovariate(most)
    return times
