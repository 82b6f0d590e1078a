"""What a group did and why: scaling activities with their causes in Auto Scaling's words.

Sources of the words: Auto Scaling User Guide, "Verify a scaling activity", "Temporarily remove instances", "Health
checks for Auto Scaling instances" and "Troubleshoot issues"; [X] is seen in others' excerpts of real activities; [U] is
ours.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sdfleet_local.plan import REGION

#: DescribeScalingActivities: "Only activities started within the last six weeks can be returned".
KEPT_FOR = timedelta(weeks=6)
#: More than anybody pages through.
_MOST_KEPT = 5_000

DIFFERENCE = "a difference between desired and actual capacity"
USER_REQUEST = "a user request"
USER_HEALTH_CHECK = "a user health-check."
#: [X], of an instance that has ended by itself, a Spot interruption included.
EC2_HEALTH_CHECK = "an EC2 health check indicating it has been terminated or stopped."
INSTANCE_REFRESH = "an instance refresh."
#: [X]
UNHEALTHY = "an unhealthy instance needing to be replaced."
#: [U]
REBALANCE = "an EC2 instance rebalance recommendation."


#: User Guide, "Use instance scale-in protection", Note.
ALL_PROTECTED = "Could not scale to desired capacity because all remaining instances are protected from scale-in."


class Status(StrEnum):
    """Those of ScalingActivityStatusCode that a local group comes to."""

    PRE_IN_SERVICE = "PreInService"
    IN_PROGRESS = "InProgress"
    MID_LIFECYCLE_ACTION = "MidLifecycleAction"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@dataclass
class Activity:
    description: str
    cause: str
    started_at: datetime
    #: None: a launch that found no machine.
    instance_id: str | None
    status: Status = Status.IN_PROGRESS
    message: str = ""
    ended_at: datetime | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def end(self, status: Status, now: datetime, message: str = "") -> None:
        if self.ended_at is None:
            self.status, self.ended_at, self.message = status, now, message

    def to_answer(self, group: str, group_arn: str) -> dict[str, Any]:
        reason = f".  Status Reason: {self.message}" if self.message else ""
        return {
            "ActivityId": self.id,
            "AutoScalingGroupName": group,
            "Description": self.description + reason,
            "Cause": self.cause,
            "StartTime": self.started_at,
            "EndTime": self.ended_at,
            "StatusCode": self.status.value,
            "StatusMessage": self.message or None,
            "Progress": 50 if self.ended_at is None else 100,
            "Details": json.dumps({"Availability Zone": f"{REGION}a"}),
            "AutoScalingGroupARN": group_arn,
        }


class ActivityLog:
    """Not safe in threads: the group's lock is held around every call."""

    def __init__(self) -> None:
        self._activities: deque[Activity] = deque(maxlen=_MOST_KEPT)
        #: Why the desired capacity is not what it was; part of every activity that follows from it.
        self._why: list[str] = []
        self._is_protection_noted = False

    def note_desired(self, why: str, before: int, after: int, now: datetime) -> None:
        """`why`: "a user request explicitly set group desired capacity", and the like."""
        if before != after:
            self._why.append(f"At {_zulu(now)} {why} changing the desired capacity from {before} to {after}.")

    def forget_why(self) -> None:
        """The group has acted on it."""
        self._why.clear()

    def launch(self, instance_id: str | None, response_to: str, now: datetime, *, before: int, after: int) -> Activity:
        if response_to == DIFFERENCE:
            growth = f"increasing the capacity from {before} to {after}."
            what = f"an instance was started in response to {DIFFERENCE}, {growth}"
        else:
            what = f"an instance was launched in response to {response_to}"
        named = "Launching a new EC2 instance" + (f": {instance_id}" if instance_id else "")
        activity = self._add(named, self._cause(what, now), instance_id, now)
        activity.status = Status.PRE_IN_SERVICE
        return activity

    def terminate(
        self, instance_id: str, response_to: str, now: datetime, *, shrinks: tuple[int, int] | None = None
    ) -> Activity:
        """`shrinks`: the capacity before and after; None: it is replaced."""
        what = f"an instance was taken out of service in response to {response_to}"
        if shrinks is not None:
            what += f", shrinking the capacity from {shrinks[0]} to {shrinks[1]}."
        elif not what.endswith("."):
            what += "."
        cause = self._cause(what, now)
        if response_to in (DIFFERENCE, INSTANCE_REFRESH):
            cause += f"  At {_zulu(now)} instance {instance_id} was selected for termination."
        return self._add(f"Terminating EC2 instance: {instance_id}", cause, instance_id, now)

    def move(self, instance_id: str, *, to_standby: bool, capacities: tuple[int, int], now: datetime) -> Activity:
        """In and out of standby; `capacities`: before and after."""
        where, moved, changing = (
            ("to Standby", "moved to standby", "shrinking")
            if to_standby
            else ("out of Standby", "moved out of standby", "increasing")
        )
        what = f"instance {instance_id} was {moved} in response to {USER_REQUEST}"
        if capacities[0] != capacities[1]:
            what += f", {changing} the capacity from {capacities[0]} to {capacities[1]}"
        activity = self._add(
            f"Moving EC2 instance {where}: {instance_id}", f"At {_zulu(now)} {what}.", instance_id, now
        )
        activity.end(Status.SUCCESSFUL, now)
        return activity

    def note_protected(self, now: datetime) -> None:
        """The group should shrink and may not; said once for each time it is so."""
        if not self._is_protection_noted:
            self._is_protection_noted = True
            self._add(ALL_PROTECTED, self._cause(ALL_PROTECTED, now), None, now).end(Status.FAILED, now)

    def forget_protected(self) -> None:
        self._is_protection_noted = False

    def under_way(self, instance_id: str) -> Activity | None:
        """The newest of this instance that has not ended."""
        found = (one for one in reversed(self._activities) if one.instance_id == instance_id and one.ended_at is None)
        return next(found, None)

    def end(self, instance_id: str, status: Status, now: datetime, message: str = "") -> None:
        if (activity := self.under_way(instance_id)) is not None:
            activity.end(status, now, message)

    def describe(self, ids: Sequence[str], now: datetime) -> list[Activity]:
        """User Guide: "ordered by start time. Activities still in progress are described first"; newest first."""
        kept = [one for one in self._activities if now - one.started_at < KEPT_FOR and (not ids or one.id in ids)]
        kept.reverse()
        return sorted(kept, key=lambda one: one.ended_at is not None)

    def _cause(self, what: str, now: datetime) -> str:
        return "  ".join([*self._why, f"At {_zulu(now)} {what}"])

    def _add(self, description: str, cause: str, instance_id: str | None, now: datetime) -> Activity:
        activity = Activity(description, cause, now, instance_id)
        self._activities.append(activity)
        return activity


def _zulu(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
