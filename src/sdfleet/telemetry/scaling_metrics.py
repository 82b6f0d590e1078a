"""What the fast scaler sees, at a second's resolution, as long as there is work: an idle fleet publishes nothing.

CloudWatch bills a custom metric by the hours in which it has data; embedded metric format takes the resolution from
the metric's definition (CloudWatch User Guide, "Embedded metric format specification").
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from sdfleet.domain import names
from sdfleet.telemetry import metrics

_HIGH_RESOLUTION = 1


def backlog(fleet: str, *, per_instance: float, queued_s: float) -> None:
    """`per_instance`: tasks that wait or run; `queued_s`: the seconds of work that they are."""
    line = metrics.embedded({}, {names.FLEET_DIMENSION: fleet}, seconds={names.QUEUED_SECONDS: queued_s})
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    described: list[Mapping[str, object]] = [
        {"Name": names.BACKLOG_PER_INSTANCE, "Unit": "Count"},
        *directive["Metrics"],
    ]
    directive["Metrics"] = [{**one, "StorageResolution": _HIGH_RESOLUTION} for one in described]
    line[names.BACKLOG_PER_INSTANCE] = round(per_instance, 3)
    sys.stdout.write(f"{json.dumps(line, separators=(',', ':'))}\n")
    sys.stdout.flush()
