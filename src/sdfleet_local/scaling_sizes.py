"""A group's sizes and the rules among them (Auto Scaling API reference, UpdateAutoScalingGroup, SetDesiredCapacity)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sdfleet.domain import scaling
from sdfleet_local.scaling_errors import ValidationError

#: What a machine cannot bear anyway.
MAX_SIZE = 50


@dataclass(frozen=True)
class Sizes:
    desired: int
    minimum: int = 0
    maximum: int = MAX_SIZE

    @property
    def limits(self) -> scaling.Limits:
        return scaling.Limits(self.minimum, self.maximum)

    def changed(self, *, desired: int | None, minimum: int | None, maximum: int | None) -> Sizes:
        """What is None stays; the present desired capacity moves into new limits.

        Raises:
            ValidationError: the sizes contradict each other. The texts are Auto Scaling's.
        """
        low = self.minimum if minimum is None else minimum
        high = self.maximum if maximum is None else maximum
        if low > high:
            raise ValidationError(f"Max bound, {high}, must be greater than or equal to min bound, {low}")
        if desired is not None and desired > high:
            raise ValidationError(
                f"New SetDesiredCapacity value {desired} is above max value {high} for the AutoScalingGroup."
            )
        if desired is not None and desired < low:
            raise ValidationError(
                f"New SetDesiredCapacity value {desired} is below min value {low} for the AutoScalingGroup."
            )
        return Sizes(min(max(self.desired if desired is None else desired, low), high), low, high)

    def decremented(self) -> Sizes:
        """Raises:
        ValidationError: the group is at its minimum. The text is Auto Scaling's.
        """
        if self.desired <= self.minimum:
            raise ValidationError(
                f"Currently, desiredSize equals minSize ({self.minimum}). Terminating instance without replacement "
                "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
                "lower group's min size."
            )
        return replace(self, desired=self.desired - 1)
