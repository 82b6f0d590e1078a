"""What an instance's boot told in its fleet's log group: how long each phase took, or why it failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from sdfleet.aws.operator_errors import code_of, explained

#: CloudWatch Logs User Guide, "Filter pattern syntax".
_PATTERN = '{ ($.event = "boot.completed") || ($.event = "boot.failed") }'


@dataclass(frozen=True)
class BootReport:
    #: From launch to first picture; None: there was none.
    total_s: float | None
    phases: Mapping[str, float] = field(default_factory=dict)
    #: Why there was none.
    reason: str | None = None


class CloudWatchBootLog:
    """Every call may raise DeploymentError."""

    def __init__(self, client: Any, log_group: str) -> None:
        self._client = client
        self._log_group = log_group

    def read(self, instance_id: str) -> BootReport | None:
        """None: it has told nothing yet."""
        with explained():
            try:
                # Of the scheduler, and of the scripts for one whose scheduler never came.
                answer = self._client.filter_log_events(
                    logGroupName=self._log_group, logStreamNamePrefix=f"{instance_id}/", filterPattern=_PATTERN
                )
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    return None
                raise
        return next((report for event in answer["events"] if (report := read_event(event["message"]))), None)


def read_event(line: str) -> BootReport | None:
    """The report in a line of a log; None: it is no boot's end."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("event") not in ("boot.completed", "boot.failed"):
        return None
    return BootReport(fields.get("total_s"), fields.get("phases", {}), fields.get("reason"))
