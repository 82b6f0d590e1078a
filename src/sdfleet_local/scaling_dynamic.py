"""A group's dynamic scaling: which policy acts, and on what its warm-up and cooldown let it act.

Rules: Auto Scaling User Guide, "Step and simple scaling policies", "Dynamic scaling" and "Scaling cooldowns".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sdfleet.telemetry import logs
from sdfleet_local.scaling_policies import Breach, Capacity, Policy, PolicyBook, PolicyType
from sdfleet_local.scaling_sizes import Sizes

log = logs.get_logger(__name__)

#: UpdateAutoScalingGroup, DefaultCooldown.
DEFAULT_COOLDOWN = timedelta(seconds=300)


@dataclass(frozen=True)
class Decision:
    """A policy changes the desired capacity."""

    desired: int
    #: What has set the policy off.
    breach: Breach


@dataclass
class DynamicScaling:
    #: The group's DefaultInstanceWarmup; None: not set.
    warmup: timedelta | None = None
    #: The group's DefaultCooldown.
    cooldown: timedelta = DEFAULT_COOLDOWN
    #: What a second of scaling's own times (periods, warm-up, cooldown) takes here.
    pace: float = 1.0
    policies: PolicyBook = field(default_factory=PolicyBook)
    #: Of the simple policy that acted last; None: it has not ended its work, or none did.
    _cools_until: datetime | None = field(default=None, repr=False)
    _cooldown: timedelta | None = field(default=None, repr=False)

    @property
    def refresh_warmup(self) -> timedelta:
        """User Guide, "Understand the default values for an instance refresh": the group's default warm-up; without one
        its grace period, which is 0 here.
        """
        return timedelta(0) if self.warmup is None else self.warmup * self.pace

    def retime(self, *, cooldown: timedelta | None, warmup: timedelta | None) -> None:
        """What is None stays; a warm-up below 0 is removed."""
        if cooldown is not None:
            self.cooldown = cooldown
        if warmup is not None:
            self.warmup = None if warmup < timedelta(0) else warmup

    def warmup_of(self, policy: Policy) -> timedelta:
        """PutScalingPolicy, EstimatedInstanceWarmup: the policy's own, the group's, or the group's cooldown."""
        own = policy.warmup if policy.warmup is not None else self.warmup
        return (self.cooldown if own is None else own) * self.pace

    def is_cooling(self, now: datetime) -> bool:
        """Whether simple policies, and who honours the cooldown, have to wait."""
        return self._cooldown is not None and (self._cools_until is None or now < self._cools_until)

    def note_rest(self, now: datetime) -> None:
        """Nothing is launched or terminated any more: "the cooldown period takes effect starting when the last instance
        finishes launching or terminating" (User Guide, "Scaling cooldowns").
        """
        if self._cooldown is not None and self._cools_until is None:
            self._cools_until = now + self._cooldown * self.pace

    def begin_cooldown(self, policy: Policy) -> None:
        if policy.type is PolicyType.SIMPLE:
            self._cooldown = self.cooldown if policy.cooldown is None else policy.cooldown
            self._cools_until = None

    def decide(
        self, breaches: Sequence[Breach], sizes: Sizes, warmed: Callable[[timedelta], int], now: datetime
    ) -> Decision | None:
        """What all alarms of one minute come to.

        `warmed`: instances that have been in service for so long. "Amazon EC2 Auto Scaling chooses the policy that
        provides the largest capacity for both scale out and scale in" (User Guide, "Dynamic scaling", multiple
        policies).
        """
        proposals = []
        for breach in breaches:
            adjustment = self._adjustment(breach, now)
            if adjustment is not None:
                desired = self.capacity_after(breach.policy, adjustment, sizes, warmed)
                proposals.append(Decision(desired, breach))
        best = max(proposals, key=lambda one: one.desired, default=None)
        return None if best is None or best.desired == sizes.desired else best

    def capacity_after(self, policy: Policy, adjustment: int, sizes: Sizes, warmed: Callable[[timedelta], int]) -> int:
        warming = max(0, sizes.desired - warmed(self.warmup_of(policy)))
        return policy.capacity_after(adjustment, Capacity(sizes.desired, warming, sizes.limits))

    def _adjustment(self, breach: Breach, now: datetime) -> int | None:
        policy = breach.policy
        if not policy.is_enabled:
            return None
        if policy.type is PolicyType.SIMPLE:
            return None if self.is_cooling(now) else policy.adjustment
        adjustment = policy.adjustment_for(breach.value, breach.threshold)
        if adjustment is None:
            log.warning("policy.without_step", policy=policy.name, alarm=breach.alarm)
        return adjustment
