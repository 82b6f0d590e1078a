"""Metrics as CloudWatch embedded metric format: a log line, no call.

Specification: CloudWatch User Guide, "Embedded metric format specification".
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping

from sdfleet.domain.names import METRIC_NAMESPACE


def count(name: str, value: int = 1, **dimensions: str) -> None:
    """Add `value` to the metric `name`."""
    _emit({name: value}, "Count", dimensions)


def seconds(values: Mapping[str, float], **dimensions: str) -> None:
    """Add a duration to each named metric."""
    if values:
        _emit({name: round(value, 3) for name, value in values.items()}, "Seconds", dimensions)


def _emit(values: Mapping[str, float], unit: str, dimensions: Mapping[str, str]) -> None:
    line = json.dumps(
        {
            "_aws": {
                "Timestamp": int(time.time() * 1000),
                "CloudWatchMetrics": [
                    {
                        "Namespace": METRIC_NAMESPACE,
                        "Dimensions": [sorted(dimensions)],
                        "Metrics": [{"Name": name, "Unit": unit} for name in values],
                    }
                ],
            },
            **values,
            **dimensions,
        },
        separators=(",", ":"),
    )
    # CloudWatch reads standard output, one object a line; in one write, for handlers that work in threads.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
