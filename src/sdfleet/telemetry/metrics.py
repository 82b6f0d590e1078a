"""Metrics as CloudWatch embedded metric format: a log line, no call.

Specification: CloudWatch User Guide, "Embedded metric format specification". Names: `sdfleet.domain.names`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sdfleet.domain.names import DEPLOYMENT_DIMENSION, METRIC_NAMESPACE

#: A metric's value, or up to 100 of them.
Seconds = float | Sequence[float]

_NOTHING: Mapping[str, Seconds] = {}
_NO_MORE: Mapping[str, str] = {}


def of_deployment(deployment_id: str) -> dict[str, str]:
    """The dimension of what is counted once for all fleets."""
    return {DEPLOYMENT_DIMENSION: deployment_id}


def count(name: str, dimensions: Mapping[str, str], value: int = 1, *, also_by: Mapping[str, str] = _NO_MORE) -> None:
    """Add `value` to the metric `name`; `also_by`: see `embedded`."""
    emit({name: value}, dimensions, also_by=also_by)


def emit(
    counts: Mapping[str, int],
    dimensions: Mapping[str, str],
    *,
    seconds: Mapping[str, Seconds] = _NOTHING,
    also_by: Mapping[str, str] = _NO_MORE,
) -> None:
    """Add to all of these metrics, with a line of their own; `also_by`: see `embedded`."""
    line = json.dumps(embedded(counts, dimensions, seconds=seconds, also_by=also_by), separators=(",", ":"))
    # CloudWatch reads standard output, one object a line; in one write, for handlers that work in threads.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def embedded(
    counts: Mapping[str, int],
    dimensions: Mapping[str, str],
    *,
    seconds: Mapping[str, Seconds] = _NOTHING,
    also_by: Mapping[str, str] = _NO_MORE,
) -> dict[str, Any]:
    """Fields for a log line that is written anyway: it carries the metrics along.

    `also_by`: dimensions beside the others, by which the counts (not the seconds) are kept once more.
    """
    described = [{"Name": name, "Unit": "Count"} for name in counts]
    described += [{"Name": name, "Unit": "Seconds"} for name in seconds]
    directives = [{"Namespace": METRIC_NAMESPACE, "Dimensions": [sorted(dimensions)], "Metrics": described}]
    if also_by:
        finer = [sorted([*dimensions, *also_by])]
        directives.append({"Namespace": METRIC_NAMESPACE, "Dimensions": finer, "Metrics": described[: len(counts)]})
    return {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": directives},
        **counts,
        **{name: _rounded(value) for name, value in seconds.items()},
        **dimensions,
        **also_by,
    }


def _rounded(value: Seconds) -> float | list[float]:
    return [round(one, 3) for one in value] if isinstance(value, Sequence) else round(value, 3)
