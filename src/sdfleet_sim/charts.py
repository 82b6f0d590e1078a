"""Line charts as SVG: a few series over one axis of time, readable on screen and on paper, without a script."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Okabe and Ito: told apart by colour-blind eyes too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
_WIDTH, _HEIGHT = 860, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 16, 38, 46
#: More points than pixels make files large and lines no better.
_MOST_POINTS = 800


@dataclass(frozen=True)
class Series:
    name: str
    #: Hours, and value.
    points: tuple[tuple[float, float], ...]
    #: Holds until the next point, as a capacity does.
    is_stepped: bool = False
    #: For a limit or a percentile beside its median.
    is_dashed: bool = False
    #: The series whose colour it shares; -1: its own.
    colour_of: int = -1


def line_chart(title: str, unit: str, series: Sequence[Series], *, is_logarithmic: bool = False) -> str:
    """`unit` stands at the upright axis. Logarithmic: values below 0.1 are drawn at 0.1."""
    drawn = [one for one in series if one.points]
    begin = min((one.points[0][0] for one in drawn), default=0.0)
    end = max((one.points[-1][0] for one in drawn), default=0.0)
    if end <= begin:
        end = begin + 1.0
    top = max((value for one in drawn for _, value in one.points), default=0.0) or 1.0
    axis = _Logarithmic(top) if is_logarithmic else _Linear(top)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    time_unit, scale = _time_unit(end)

    def x(hours: float) -> float:
        return _LEFT + (hours - begin) / (end - begin) * width

    def y(value: float) -> float:
        return _TOP + height * (1 - axis.share(value))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14" font-weight="600" fill="#222">{html.escape(title)}</text>',
    ]
    for value in axis.ticks():
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
        )
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#444">{_number(value)}</text>'
        )
    for tick in _Linear((end - begin) * scale).ticks_between(begin * scale, end * scale):
        at = x(tick / scale)
        parts.append(
            f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle" fill="#444">{_number(tick)}</text>'
        )
    middle = _TOP + height / 2
    parts.append(
        f'<text x="14" y="{middle:.0f}" transform="rotate(-90 14 {middle:.0f})" text-anchor="middle"'
        f' fill="#444">{html.escape(unit)}</text>'
    )
    parts.append(
        f'<text x="{_LEFT + width / 2:.0f}" y="{_HEIGHT - _BOTTOM + 32}" text-anchor="middle"'
        f' fill="#444">{time_unit}</text>'
    )
    for index, one in enumerate(series):
        if one.points:
            colour = COLOURS[(one.colour_of if one.colour_of >= 0 else index) % len(COLOURS)]
            dashes = ' stroke-dasharray="5 4"' if one.is_dashed else ""
            path = _path([(x(at), y(value)) for at, value in _thinned(one.points)], is_stepped=one.is_stepped)
            parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes}/>')
    parts += _legend(series)
    parts.append("</svg>")
    return "\n".join(parts)


class _Linear:
    def __init__(self, top: float) -> None:
        rough = top / 5
        power = 10.0 ** math.floor(math.log10(rough))
        self._step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
        self._top = top

    def share(self, value: float) -> float:
        return value / self._ceiling

    @property
    def _ceiling(self) -> float:
        return self._step * math.ceil(self._top / self._step - 1e-9)

    def ticks(self) -> list[float]:
        return [index * self._step for index in range(round(self._ceiling / self._step) + 1)]

    def ticks_between(self, first: float, last: float) -> list[float]:
        lowest, highest = math.ceil(first / self._step - 1e-6), math.floor(last / self._step + 1e-6)
        return [index * self._step for index in range(lowest, highest + 1)]


class _Logarithmic:
    _LEAST = 0.1

    def __init__(self, top: float) -> None:
        self._decades = max(1, math.ceil(math.log10(max(top, self._LEAST * 1.01) / self._LEAST) - 1e-9))

    def share(self, value: float) -> float:
        return math.log10(max(value, self._LEAST) / self._LEAST) / self._decades

    def ticks(self) -> list[float]:
        return [self._LEAST * 10**decade for decade in range(self._decades + 1)]


def _time_unit(hours: float) -> tuple[str, float]:
    """How the axis of time counts: the unit's name, and how many there are in an hour."""
    if hours <= 0.2:
        return "seconds", 3600.0
    return ("minutes", 60.0) if hours <= 3 else ("hours", 1.0)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    every = -(-len(points) // _MOST_POINTS)
    # Peaks are what a reader looks for: of each part the highest stays.
    return [max(points[at : at + every], key=lambda point: point[1]) for at in range(0, len(points), every)]


def _path(points: Sequence[tuple[float, float]], *, is_stepped: bool) -> str:
    (x, y), *others = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for x, y in others:
        parts.append(f"H{x:.1f}V{y:.1f}" if is_stepped else f"L{x:.1f} {y:.1f}")
    return "".join(parts)


def _legend(series: Sequence[Series]) -> list[str]:
    parts, right = [], _WIDTH - _RIGHT
    for index, one in reversed(list(enumerate(series))):
        if one.is_dashed and one.colour_of >= 0:
            continue
        colour = COLOURS[(one.colour_of if one.colour_of >= 0 else index) % len(COLOURS)]
        right -= 7 * len(one.name) + 26
        parts.append(f'<rect x="{right}" y="27" width="12" height="3" fill="{colour}"/>')
        parts.append(f'<text x="{right + 16}" y="32" fill="#222">{html.escape(one.name)}</text>')
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"
