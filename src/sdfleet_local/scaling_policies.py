"""Scaling policies of a group: what is kept of them, and the capacity that they ask for.

Rules: Auto Scaling User Guide, "Step and simple scaling policies" ("Guide"); API reference, PutScalingPolicy,
StepAdjustment ("API"). The fleets' own numbers are `sdfleet.domain.scaling`'s.
"""

from __future__ import annotations

import itertools
import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sdfleet.domain.scaling import Limits
from sdfleet_local.plan import ACCOUNT, REGION
from sdfleet_local.scaling_errors import ValidationError


class PolicyType(StrEnum):
    STEP = "StepScaling"
    SIMPLE = "SimpleScaling"


class AdjustmentType(StrEnum):
    CHANGE = "ChangeInCapacity"
    EXACT = "ExactCapacity"
    PERCENT = "PercentChangeInCapacity"


class Aggregation(StrEnum):
    MINIMUM = "Minimum"
    MAXIMUM = "Maximum"
    AVERAGE = "Average"

    def of(self, values: Sequence[float]) -> float:
        match self:
            case Aggregation.MINIMUM:
                return min(values)
            case Aggregation.MAXIMUM:
                return max(values)
        return sum(values) / len(values)


@dataclass(frozen=True)
class StepAdjustment:
    """Bounds are relative to the alarm's threshold."""

    #: None: from minus infinity.
    lower: float | None
    #: None: to infinity.
    upper: float | None
    adjustment: int

    def holds_above(self, above: float) -> bool:
        """API: above the threshold "the lower bound is inclusive" and "the upper bound is exclusive"."""
        return (self.lower is None or self.lower <= above) and (self.upper is None or above < self.upper)

    def holds_below(self, above: float) -> bool:
        """API: "Otherwise", the other way round."""
        return (self.lower is None or self.lower < above) and (self.upper is None or above <= self.upper)

    def to_answer(self) -> dict[str, Any]:
        return {
            "MetricIntervalLowerBound": self.lower,
            "MetricIntervalUpperBound": self.upper,
            "ScalingAdjustment": self.adjustment,
        }


@dataclass(frozen=True)
class Capacity:
    """A group's at one moment."""

    desired: int
    #: Of `desired`, those on their way or warming up.
    warming: int
    limits: Limits


@dataclass(frozen=True)
class Policy:
    name: str
    group: str
    type: PolicyType
    adjustment_type: AdjustmentType
    #: Of a step policy.
    steps: tuple[StepAdjustment, ...] = ()
    #: Of a simple policy.
    adjustment: int = 0
    min_magnitude: int | None = None
    aggregation: Aggregation = Aggregation.AVERAGE
    #: None: the group's.
    warmup: timedelta | None = None
    #: Of a simple policy; None: the group's.
    cooldown: timedelta | None = None
    is_enabled: bool = True
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def arn(self) -> str:
        return (
            f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:{self.id}:"
            f"autoScalingGroupName/{self.group}:policyName/{self.name}"
        )

    def adjustment_for(self, value: float, threshold: float) -> int | None:
        """What a step policy adds at a metric's value; None: no step has it."""
        above = value - threshold
        # At the threshold itself the documents leave it open [U]: a step from there on has it, else one up to there.
        found = [step for step in self.steps if above >= 0 and step.holds_above(above)]
        found += [step for step in self.steps if above <= 0 and step.holds_below(above)]
        return found[0].adjustment if found else None

    def capacity_after(self, adjustment: int, now: Capacity) -> int:
        """The desired capacity that `adjustment` makes of what there is, within the group's sizes.

        Guide, Instance warm-up: those that warm up "are counted as part of the desired capacity for the next scale-out
        activity. Therefore, multiple alarm breaches that fall in the range of the same step adjustment result in a
        single scaling activity"; "all scale-in activities initiated by scaling policies are blocked until the instances
        finish warming up". A simple policy knows no warm-up.
        """
        is_exact = self.adjustment_type is AdjustmentType.EXACT
        if adjustment == 0 and not is_exact:
            return now.desired
        warming = now.warming if self.type is PolicyType.STEP else 0
        wanted = adjustment if is_exact else now.desired - warming + self._change(adjustment, now.desired - warming)
        if wanted >= now.desired or (adjustment > 0 and not is_exact):
            # Sizes that an operator has gone beyond are no reason to come back.
            return max(now.desired, min(now.limits.greatest, wanted))
        return now.desired if warming else max(min(now.desired, now.limits.least), wanted)

    def to_answer(self, alarms: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """As DescribePolicies has it; `alarms`: names and ARNs of those that set it off."""
        is_step = self.type is PolicyType.STEP
        return {
            "AutoScalingGroupName": self.group,
            "PolicyName": self.name,
            "PolicyARN": self.arn,
            "PolicyType": self.type.value,
            "AdjustmentType": self.adjustment_type.value,
            "MinAdjustmentMagnitude": self.min_magnitude,
            "ScalingAdjustment": None if is_step else self.adjustment,
            "Cooldown": None if self.cooldown is None else int(self.cooldown.total_seconds()),
            "StepAdjustments": [step.to_answer() for step in self.steps],
            "MetricAggregationType": self.aggregation.value if is_step else None,
            "EstimatedInstanceWarmup": None if self.warmup is None else int(self.warmup.total_seconds()),
            "Alarms": [{"AlarmName": name, "AlarmARN": arn} for name, arn in alarms],
            "Enabled": self.is_enabled,
        }

    def _change(self, adjustment: int, current: int) -> int:
        """Guide, Scaling adjustment types: percentages are cut off, but are one at least, or MinAdjustmentMagnitude."""
        if self.adjustment_type is AdjustmentType.CHANGE:
            return adjustment
        change = max(1, self.min_magnitude or 0, math.trunc(current * abs(adjustment) / 100))
        return change if adjustment > 0 else -change


@dataclass(frozen=True)
class Breach:
    """An alarm that sets a policy off."""

    policy: Policy
    alarm: str
    #: Of the periods that the alarm looked at.
    values: tuple[float, ...]
    threshold: float

    @property
    def value(self) -> float:
        """What the policy compares with its steps."""
        return self.policy.aggregation.of(self.values)


def check_steps(steps: Sequence[StepAdjustment]) -> None:
    """Guide, Step adjustments for step scaling, the notes at its end.

    Raises:
        ValidationError: the steps have a gap, overlap, or leave out what lies beyond them.
    """
    if not steps:
        raise ValidationError("At least one StepAdjustment must be specified for StepScaling policies")
    for step in steps:
        if step.lower is None and step.upper is None:
            raise ValidationError("StepAdjustments must not have both a null lower bound and a null upper bound")
        if step.lower is not None and step.upper is not None and step.lower >= step.upper:
            raise ValidationError("MetricIntervalUpperBound must be greater than MetricIntervalLowerBound")
    ordered = sorted(steps, key=lambda step: -math.inf if step.lower is None else step.lower)
    for earlier, later in itertools.pairwise(ordered):
        if earlier.upper is None or later.lower is None or later.lower < earlier.upper:
            raise ValidationError("StepAdjustment intervals can't overlap")
        if later.lower > earlier.upper:
            raise ValidationError("StepAdjustment intervals can't have gaps between them")
    if ordered[0].lower is not None and ordered[0].lower < 0:
        raise ValidationError(
            "There must be a StepAdjustment with an unspecified lower bound when one StepAdjustment has a negative "
            "lower bound"
        )
    if ordered[-1].upper is not None and ordered[-1].upper > 0:
        raise ValidationError(
            "There must be a StepAdjustment with an unspecified upper bound when one StepAdjustment has a positive "
            "upper bound"
        )


class PolicyBook:
    """The policies of one group; safe in threads."""

    def __init__(self) -> None:
        self._policies: dict[str, Policy] = {}
        self._alarms: Mapping[str, tuple[tuple[str, str], ...]] = {}
        self._lock = threading.Lock()

    def all(self) -> tuple[Policy, ...]:
        with self._lock:
            return tuple(self._policies.values())

    def put(self, policy: Policy) -> Policy:
        """One of the same name is replaced; its ARN stays."""
        with self._lock:
            if (old := self._policies.get(policy.name)) is not None:
                policy = replace(policy, id=old.id)
            self._policies[policy.name] = policy
        return policy

    def find(self, name_or_arn: str) -> Policy | None:
        return next((one for one in self.all() if name_or_arn in (one.name, one.arn)), None)

    def delete(self, policy: Policy) -> None:
        with self._lock:
            self._policies.pop(policy.name, None)

    def note_alarms(self, alarms: Mapping[str, tuple[tuple[str, str], ...]]) -> None:
        """Names and ARNs of the alarms that set policies off, by the policies' ARNs."""
        self._alarms = alarms

    def alarms_of(self, policy: Policy) -> tuple[tuple[str, str], ...]:
        return self._alarms.get(policy.arn, ())
