"""A benchmark's outcome with the machine it was measured on, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sdfleet_bench.machine import Machine, load_average, this_machine

#: Enough to tell results apart; more would claim a precision that no machine has.
_DIGITS = 3


@dataclass(frozen=True)
class Report:
    benchmark: str
    machine: Machine
    began_at: datetime
    ended_at: datetime
    load_before: float
    load_after: float
    results: tuple[Any, ...]

    def to_json(self) -> str:
        return json.dumps(_rounded(asdict(self)), indent=2, default=str)

    def to_text(self) -> str:
        machine = self.machine
        head = (
            f"{self.benchmark}: {machine.cores} cores, {machine.cpu_model}, {machine.system}, {machine.python}\n"
            f"load average {self.load_before} before, {self.load_after} after; {self.began_at:%Y-%m-%d %H:%M} UTC\n"
        )
        columns = [dict(_cells(asdict(result))) for result in self.results]
        names = list(columns[0]) if columns else []
        width = max(map(len, names), default=0)
        widths = [max(len(column[name]) for name in names) for column in columns]
        lines = [
            "  ".join(
                [name.ljust(width), *(column[name].rjust(size) for column, size in zip(columns, widths, strict=True))]
            )
            for name in names
        ]
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class Recording:
    benchmark: str
    began_at: datetime
    load_before: float

    def end(self, results: Sequence[Any]) -> Report:
        """`results`: dataclasses of one kind, a column of the table each."""
        return Report(
            benchmark=self.benchmark,
            machine=this_machine(),
            began_at=self.began_at,
            ended_at=datetime.now(UTC),
            load_before=self.load_before,
            load_after=load_average(),
            results=tuple(results),
        )


def begin(benchmark: str) -> Recording:
    return Recording(benchmark, datetime.now(UTC), load_average())


def _cells(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if name in ("scheduler", "bare_loop", "own_queue"):
            yield from _cells(value, f"{name} ")
        else:
            yield prefix + name, _cell(name, value)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{100 * value:.1f} %" if name.endswith("_share") else f"{value:.2f}"
    if value is None:
        return "none"
    if isinstance(value, list | dict):
        return json.dumps(value) if value else "none"
    return str(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS) if abs(value) >= 1 else float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
