"""Metrics of the request handlers, as CloudWatch embedded metric format: a log line, no call.

Specification: CloudWatch User Guide, "Embedded metric format specification".
"""

from __future__ import annotations

import json
import sys
import time

from sdfleet.domain.names import METRIC_NAMESPACE


def count(name: str, value: int = 1, **dimensions: str) -> None:
    """Add `value` to the metric `name`."""
    print(  # noqa: T201  CloudWatch reads embedded metrics from standard output, one object a line
        json.dumps(
            {
                "_aws": {
                    "Timestamp": int(time.time() * 1000),
                    "CloudWatchMetrics": [
                        {
                            "Namespace": METRIC_NAMESPACE,
                            "Dimensions": [sorted(dimensions)],
                            "Metrics": [{"Name": name, "Unit": "Count"}],
                        }
                    ],
                },
                name: value,
                **dimensions,
            },
            separators=(",", ":"),
        ),
        file=sys.stdout,
        flush=True,
    )
