"""Queue depth to capacity: the step table, the wake from zero and the way down, as data and arithmetic.

The one place for these numbers: the template's policies and alarms, local mode, the fast scaler and the simulator read
them here.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Step:
    #: Holds from so many visible messages on, up to the next step's first.
    from_messages: int
    #: Instances more.
    add: int


@dataclass(frozen=True)
class Interval:
    """A step as Auto Scaling has it: bounds relative to the alarm's threshold, lower inclusive, upper exclusive."""

    lower: int
    #: None: no upper bound.
    upper: int | None
    add: int


@dataclass(frozen=True)
class StepTable:
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Raises:
        ValueError: the steps do not rise, or none adds anything, or one adds for no message.
        """
        for earlier, later in zip(self.steps, self.steps[1:], strict=False):
            if later.from_messages <= earlier.from_messages:
                raise ValueError("each step must begin at more messages than the one before")
        if not self._acting:
            raise ValueError("a step table needs a step that adds instances")
        if self.threshold < 1:
            raise ValueError("a step that adds instances must begin at one message or more")

    @property
    def _acting(self) -> tuple[Step, ...]:
        return tuple(itertools.dropwhile(lambda step: step.add <= 0, self.steps))

    @property
    def threshold(self) -> int:
        """Visible messages from which the policy acts: its alarm's threshold."""
        return self._acting[0].from_messages

    def addition(self, visible: int) -> int:
        """Instances that `visible` messages ask for, on top of those there are."""
        return next((step.add for step in reversed(self.steps) if visible >= step.from_messages), 0)

    def intervals(self) -> tuple[Interval, ...]:
        uppers = [*(step.from_messages - self.threshold for step in self._acting[1:]), None]
        return tuple(
            Interval(step.from_messages - self.threshold, upper, step.add)
            for step, upper in zip(self._acting, uppers, strict=True)
        )


#: The EC2 guide's: up to 9 messages none, 10 to 49 one more, 50 to 100 two, over 100 three (seed 003, "Auto Scaling
#: Policies").
DEFAULT_STEPS = StepTable((Step(0, 0), Step(10, 1), Step(50, 2), Step(101, 3)))

#: What a fleet at zero gets for its first message: the step table leaves 1 to 9 messages waiting for ever.
WAKE_CAPACITY = 1
#: Instances fewer, each time a fleet is found empty.
SCALE_IN_STEP = 1
#: A fleet counts as empty after this long without a message (the seeds' `cooldownPeriod`): a picture every few
#: minutes keeps it awake.
DEFAULT_IDLE_AFTER = timedelta(seconds=300)
#: From launch to the first picture (the seeds' 300 s): until then a new instance does not count as one too few.
DEFAULT_WARM_UP = timedelta(seconds=300)


@dataclass(frozen=True)
class Limits:
    """A group's least and greatest size."""

    least: int
    greatest: int


def is_empty(*, visible: int, in_flight: int) -> bool:
    """Nothing waits and nothing runs: the only state in which a fleet may shrink."""
    return visible + in_flight == 0


def wakes(*, capacity: int, visible: int) -> bool:
    """Whether a fleet at zero gets its first instance."""
    return capacity == 0 and visible > 0


def stepped_up(table: StepTable, limits: Limits, *, capacity: int, visible: int, warming: int = 0) -> int:
    """The capacity after the step policy, and the wake from zero, have looked once.

    `warming`: how many of `capacity` are warming up. The step is taken from the others, so that what was ordered is
    not ordered again (Auto Scaling User Guide, "Step scaling", instance warm-up).
    """
    addition = table.addition(visible)
    if addition == 0 and wakes(capacity=capacity, visible=visible):
        addition = WAKE_CAPACITY
    # An operator may have set more than the greatest size; growing never takes anything away.
    return max(capacity, min(limits.greatest, capacity - warming + addition))


def stepped_down(
    limits: Limits, *, capacity: int, visible: int, in_flight: int, empty_for: timedelta, idle_after: timedelta
) -> int:
    """The capacity after the scale-in policy has looked once. `empty_for`: how long the queue has been empty."""
    if not is_empty(visible=visible, in_flight=in_flight) or empty_for < idle_after:
        return capacity
    return max(min(capacity, limits.least), capacity - SCALE_IN_STEP)
