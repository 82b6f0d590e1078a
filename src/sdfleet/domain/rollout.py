"""A rollout's record: a fleet's way from one release to another, as far as it has come.

How it moves: `sdfleet.domain.rollout_machine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: A held canary ends here, unpromoted: an hour later Auto Scaling would go on by itself.
LONGEST_HOLD = timedelta(hours=47)


class Phase(StrEnum):
    REQUESTED = "requested"
    CANARY = "canary"
    CANARY_BAKING = "canary-baking"
    HELD = "held"
    ROLLING = "rolling"
    BAKING = "baking"
    ROLLING_BACK = "rolling-back"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return self in {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.FAILED}

    @property
    def is_bake(self) -> bool:
        """What was replaced is watched; the fleet does not grow meanwhile."""
        return self in {Phase.CANARY_BAKING, Phase.HELD, Phase.BAKING}


class Intent(StrEnum):
    """What a person, or a failure, has decided about the rollout."""

    GO_ON = "go-on"
    PROMOTE = "promote"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True)
class Target:
    """A release as the fleet's launch template has it."""

    version: str
    #: The numbered launch template version; never `$Latest`, from which nothing can be rolled back.
    template_version: str


@dataclass(frozen=True)
class Wish:
    """What a person asked for."""

    #: Of the fleet that is replaced before the first bake; 100: everything at once.
    percentage: int
    #: The wait after the canary, and again after the last instance.
    bake: timedelta
    #: Wait after the canary until somebody promotes it.
    hold: bool = False
    by: str = ""
    why: str = ""
    #: Instances that the fleet has at least, from before the canary to the end; 0: as many as it has.
    floor: int = 0


@dataclass(frozen=True)
class Rollout:
    id: str
    runtime: str
    former: Target
    target: Target
    wish: Wish
    started_at: datetime
    phase: Phase = Phase.REQUESTED
    intent: Intent = Intent.GO_ON
    #: The refresh that is under way for us, or was the last; None: none was seen yet.
    refresh_id: str | None = None
    #: Refreshes of an earlier step (cancelled for a promotion, failed before a way back).
    past_refresh_ids: tuple[str, ...] = ()
    #: Of the fleet, by Auto Scaling's count in the present refresh.
    percentage_complete: int = 0
    canary_done_at: datetime | None = None
    #: What the canary is of the fleet: whole instances, so often more than was wished.
    canary_percentage: int | None = None
    #: Since when the whole fleet is watched on the new release.
    baking_since: datetime | None = None
    ended_at: datetime | None = None
    #: Of the last observation taken in; older ones are passed over.
    observed_at: datetime | None = None
    #: Why it did not go on: an alarm's name, Auto Scaling's own words, who asked.
    reason: str | None = None
    #: The group's minimum before the floor; None: there is none to give back.
    former_minimum: int | None = None
    #: It is over, and the alarms on its release were not yet seen to be gone.
    leaves_alarms: bool = False

    @property
    def is_over(self) -> bool:
        return self.phase.is_over

    @property
    def is_settled(self) -> bool:
        """Over, and what it had for its time has been given back."""
        return self.is_over and self.former_minimum is None and not self.leaves_alarms

    @property
    def is_promotable(self) -> bool:
        """Whether a finished canary waits."""
        return self.phase in {Phase.CANARY_BAKING, Phase.HELD} and self.intent is Intent.GO_ON

    @property
    def hold_ends_at(self) -> datetime | None:
        """When a held canary is rolled back because nobody promoted it."""
        return self.canary_done_at + LONGEST_HOLD if self.wish.hold and self.canary_done_at else None


def is_baking(current: Rollout | None) -> bool:
    """Whether a fleet whose last rollout is `current` must not grow now: a new instance would blur what is watched."""
    return current is not None and current.phase.is_bake


def canary_size(percentage: int, capacity: int) -> int:
    """Instances of the new release during the canary's bake."""
    return math.ceil(capacity * percentage / 100)


class DeploymentStatus(StrEnum):
    """What the parameter `deployment-status` says (seed documents, Version Tracking)."""

    STABLE = "stable"
    IN_PROGRESS = "in-progress"
    ROLLING_BACK = "rolling-back"
    FAILED = "failed"


#: Nothing else changes the fleet meanwhile: no other rollout, no stack.
UNDER_WAY = frozenset({DeploymentStatus.IN_PROGRESS, DeploymentStatus.ROLLING_BACK})


@dataclass(frozen=True)
class Face:
    """A fleet's public parameters."""

    image_version: str
    previous_version: str | None
    deployment_status: DeploymentStatus


def face(rollout: Rollout, *, previous_version: str | None) -> Face:
    """`previous_version`: before this rollout; only a success moves it."""
    if rollout.phase is Phase.SUCCEEDED:
        return Face(rollout.target.version, rollout.former.version, DeploymentStatus.STABLE)
    status = {
        Phase.ROLLING_BACK: DeploymentStatus.ROLLING_BACK,
        Phase.ROLLED_BACK: DeploymentStatus.STABLE,
        Phase.FAILED: DeploymentStatus.FAILED,
    }.get(rollout.phase, DeploymentStatus.IN_PROGRESS)
    return Face(rollout.former.version, previous_version, status)
