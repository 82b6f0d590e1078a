"""The metrics of instances and handlers, out of their logs: what CloudWatch does with embedded metric format."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

#: Nobody asks for what is older.
_KEPT = timedelta(minutes=2)
#: Every line of ours that carries metrics has it (CloudWatch User Guide, "Embedded metric format specification").
_MARK = b'"_aws"'
#: Of one log at a time.
_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Sample:
    at: datetime
    metric: str
    value: float
    dimensions: frozenset[tuple[str, str]]


@dataclass
class LogMetrics:
    """Of all logs in a directory, those to come too."""

    directory: Path
    _samples: deque[Sample] = field(default_factory=deque, repr=False)
    #: How far each file has been read, up to the end of a line.
    _positions: dict[Path, int] = field(default_factory=dict, repr=False)

    def read(self, now: datetime) -> list[Sample]:
        """Take in what was written since the last call; returns it."""
        new = [sample for path in sorted(self.directory.glob("*.log")) for sample in self._new_samples(path)]
        self._samples.extend(new)
        self._samples = deque(sample for sample in self._samples if now - sample.at < _KEPT)
        return new

    def total(self, metric: str, dimensions: dict[str, str], *, since: datetime) -> float:
        """The metric's sum."""
        sought = frozenset(dimensions.items())
        return sum(
            sample.value
            for sample in self._samples
            if sample.at >= since and sample.metric == metric and sample.dimensions == sought
        )

    def _new_samples(self, path: Path) -> list[Sample]:
        try:
            with path.open("rb") as log:
                log.seek(self._positions.get(path, 0))
                chunk = log.read(_CHUNK_BYTES)
        except FileNotFoundError:
            return []
        # The last line may be half written.
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._positions[path] = self._positions.get(path, 0) + len(whole)
        return [sample for line in whole.splitlines() if _MARK in line for sample in _samples_of(line)]


def _samples_of(line: bytes) -> list[Sample]:
    try:
        fields: dict[str, Any] = json.loads(line)
        head = fields["_aws"]
        at = datetime.fromtimestamp(head["Timestamp"] / 1000, UTC)
        return [
            Sample(
                at,
                metric["Name"],
                float(value),
                frozenset((name, str(fields[name])) for name in names),
            )
            for directive in head["CloudWatchMetrics"]
            for names in directive["Dimensions"]
            for metric in directive["Metrics"]
            for value in _values(fields[metric["Name"]])
        ]
    except (ValueError, KeyError, TypeError):
        # Not one of ours: another program's line in the same log.
        return []


def _values(field: Any) -> list[Any]:
    return field if isinstance(field, list) else [field]
