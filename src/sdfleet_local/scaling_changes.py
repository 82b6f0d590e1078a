"""What UpdateAutoScalingGroup may change of a group."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sdfleet_local.scaling_templates import Configuration


@dataclass(frozen=True)
class GroupChange:
    """What is None stays."""

    desired: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    configuration: Configuration | None = None
    #: HealthCheckGracePeriod.
    grace: timedelta | None = None
    #: DefaultCooldown.
    cooldown: timedelta | None = None
    #: DefaultInstanceWarmup; below 0 it is removed ("specify -1").
    warmup: timedelta | None = None
    #: NewInstancesProtectedFromScaleIn.
    protects_new: bool | None = None

    @property
    def has_sizes(self) -> bool:
        return (self.desired, self.minimum, self.maximum) != (None, None, None)
