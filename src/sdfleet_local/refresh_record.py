"""An instance refresh as DescribeInstanceRefreshes shows it, and the events that tell of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sdfleet.domain.instance_refresh import RefreshStatus
from sdfleet_local.refresh_preferences import Preferences
from sdfleet_local.scaling_templates import Configuration
from sdfleet_local.scaling_wire import zulu

#: Of the statuses that have one (Auto Scaling User Guide, "Instance refresh example events and patterns"; Amazon EC2
#: Auto Scaling, events detail reference).
EVENTS: Mapping[RefreshStatus, str] = {
    RefreshStatus.IN_PROGRESS: "Started",
    RefreshStatus.BAKING: "Started Baking",
    RefreshStatus.SUCCESSFUL: "Succeeded",
    RefreshStatus.FAILED: "Failed",
    RefreshStatus.CANCELLED: "Cancelled",
    RefreshStatus.ROLLBACK_IN_PROGRESS: "Rollback Started",
    RefreshStatus.ROLLBACK_SUCCESSFUL: "Rollback Succeeded",
    RefreshStatus.ROLLBACK_FAILED: "Rollback Failed",
}
CHECKPOINT_REACHED = "Checkpoint Reached"


@dataclass(frozen=True)
class Rollback:
    """RollbackDetails."""

    reason: str
    began_at: datetime
    #: As they were when it began.
    percentage: int
    to_update: int


@dataclass(frozen=True)
class RefreshRecord:
    id: str
    group: str
    preferences: Preferences
    #: None: the group's own configuration is launched anew.
    desired: Configuration | None
    created_at: datetime
    status: RefreshStatus = RefreshStatus.PENDING
    reason: str = ""
    #: None as long as it is Pending.
    started_at: datetime | None = None
    ended_at: datetime | None = None
    percentage: int = 0
    to_update: int = 0
    rollback: Rollback | None = None

    def to_answer(self) -> dict[str, Any]:
        rollback = self.rollback
        return {
            "InstanceRefreshId": self.id,
            "AutoScalingGroupName": self.group,
            "Status": self.status.value,
            "StatusReason": self.reason or None,
            "StartTime": self.started_at,
            "EndTime": self.ended_at,
            "PercentageComplete": self.percentage,
            "InstancesToUpdate": self.to_update,
            "Preferences": self.preferences.to_answer(),
            "DesiredConfiguration": None if self.desired is None else self.desired.to_answer(),
            "RollbackDetails": rollback
            and {
                "RollbackReason": rollback.reason,
                "RollbackStartTime": rollback.began_at,
                "PercentageCompleteOnRollback": rollback.percentage,
                "InstancesToUpdateOnRollback": rollback.to_update,
            },
            "Strategy": "Rolling",
        }


@dataclass(frozen=True)
class RefreshEvent:
    """What EventBridge would deliver: best effort, so a nudge."""

    kind: str
    refresh_id: str
    group: str
    at: datetime
    #: As strings, in the event too.
    checkpoint: str | None = None
    checkpoint_delay: str | None = None

    def to_event(self, *, region: str) -> dict[str, Any]:
        detail = {"InstanceRefreshId": self.refresh_id, "AutoScalingGroupName": self.group}
        if self.checkpoint is not None and self.checkpoint_delay is not None:
            detail |= {"CheckpointPercentage": self.checkpoint, "CheckpointDelay": self.checkpoint_delay}
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": f"EC2 Auto Scaling Instance Refresh {self.kind}",
            "source": "aws.autoscaling",
            "account": "123456789012",
            "time": zulu(self.at),
            "region": region,
            "resources": [self.group],
            "detail": detail,
        }
