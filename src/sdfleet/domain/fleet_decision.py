"""The fast scaler's arithmetic: what a fleet at one moment needs.

How many: what waits and runs, times the seconds that a task takes, is the work. An instance ordered now begins after
the boot, and has the target time for its share of it; those in service have boot and target together, those on their
way what is left of it. What comes on top in that time, as far as that is sure, is work too. And never more instances
than tasks, for a task has one.

It only raises the capacity. An instance goes by its name, when it has been idle for long: the surplus soon, the last
one late. Under steady load none ever is, for the queue's messages go to all of them in turn: there it counts what the
fleet as a whole has had too many at every look, and those go who are idle at that moment. `sdfleet.domain.scaling` is
the slow way beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sdfleet.domain.fleet_observation import Observed, RolloutStage, ScalerSettings, Surplus
from sdfleet.domain.scaling import WAKE_CAPACITY

#: Reading a queue costs next to nothing, and of the ten seconds that a decision may take this is half.
LOOK_EVERY = timedelta(seconds=5)
#: Nothing waits: only the end of idle times is to come, and the next task calls.
REST_LOOK = timedelta(seconds=60)
#: Instances for each that the work keeps busy: 80 % are, and chance has room.
SPARE = 1.25
#: Between two looks; over a longer gap nobody knows what was needed meanwhile.
_CLOSE = timedelta(seconds=90)
#: Each is a call, and Auto Scaling allows a few a second.
MOST_REMOVALS = 20


class Reason(StrEnum):
    NOTHING_TO_DO = "nothing_to_do"
    WAKE = "wake"
    BACKLOG = "backlog"
    ENOUGH = "enough"
    AT_MAXIMUM = "at_maximum"
    UNDER_MINIMUM = "under_minimum"
    IDLE = "idle"
    MANUAL = "manual"
    ROLLOUT_BAKES = "rollout_bakes"
    BOOT_FAILURES = "boot_failures"


#: What tasks do not change; each of them would call for nothing.
_HELD = frozenset({Reason.MANUAL, Reason.BOOT_FAILURES})


class Market(StrEnum):
    """A change of where instances are bought."""

    TO_ON_DEMAND = "to_on_demand"
    BACK_TO_SPOT = "back_to_spot"


@dataclass(frozen=True, slots=True)
class Decision:
    #: To raise the desired capacity to; None: it stays.
    desired: int | None
    #: Instances to end, the capacity with them.
    remove: tuple[str, ...]
    #: False: nothing is left to decide until the next task wakes the fleet.
    goes_on: bool
    look_again: timedelta
    reason: Reason
    market: Market | None = None
    #: Seconds of work that wait or run.
    queued_s: float = 0.0
    #: For the next look.
    surplus: Surplus | None = None

    @property
    def is_at_rest(self) -> bool:
        """The next task may change something, and should not wait for the next look."""
        return self.look_again >= REST_LOOK and self.reason not in _HELD


def decide(seen: Observed, settings: ScalerSettings, now: datetime) -> Decision:
    """What to do about the fleet now, and when to look again."""
    task_s = seen.task_s or settings.assumed_task.total_seconds()
    queued_s = seen.backlog * task_s
    wanted, reason = _wanted(seen, settings, task_s, now)
    desired = wanted if wanted > seen.desired else None
    remove: tuple[str, ...] = ()
    surplus = None
    if desired is None:
        surplus = _surplus(seen, settings, task_s, now)
        remove = _removable(seen, settings, task_s, now, surplus)
        surplus = _left_of(surplus, len(remove))
        if remove and reason in {Reason.NOTHING_TO_DO, Reason.ENOUGH}:
            reason = Reason.IDLE
    is_waiting = bool(seen.backlog or seen.is_called or seen.coming or seen.ordered or desired is not None)
    # Tasks wait, and the next five seconds will change nothing about it.
    is_held = desired is None and not remove and reason in _HELD
    return Decision(
        desired,
        remove,
        goes_on=is_waiting or bool(remove) or _has_an_end_to_come(seen, now),
        look_again=LOOK_EVERY if (is_waiting or remove) and not is_held else REST_LOOK,
        reason=reason,
        market=_market(seen, settings, now),
        queued_s=queued_s,
        surplus=surplus,
    )


def _wanted(seen: Observed, settings: ScalerSettings, task_s: float, now: datetime) -> tuple[int, Reason]:
    """The capacity that there should be at least, never above the limits, and why."""
    limits = seen.limits
    if seen.manual is not None and seen.manual.holds(now):
        return min(max(seen.manual.capacity, limits.least), limits.greatest), Reason.MANUAL
    needed = needed_capacity(seen, settings, task_s, now)
    reason = Reason.BACKLOG
    if needed <= seen.desired:
        reason = Reason.ENOUGH if seen.backlog else Reason.NOTHING_TO_DO
    elif seen.desired == 0:
        reason = Reason.WAKE
    if needed < limits.least:
        needed, reason = limits.least, Reason.UNDER_MINIMUM
    if needed > limits.greatest:
        needed, reason = limits.greatest, Reason.AT_MAXIMUM
    if needed <= seen.desired:
        return needed, reason
    if seen.rollout is RolloutStage.BAKING and seen.desired > 0:
        return seen.desired, Reason.ROLLOUT_BAKES
    if seen.boot_failures >= settings.most_boot_failures:
        # One at a time finds out whether the trouble has passed.
        is_probe = not (seen.coming or seen.ordered) and not _has_failed_lately(seen, settings, now)
        return min(needed, seen.running + is_probe), Reason.BOOT_FAILURES
    return needed, reason


def needed_capacity(seen: Observed, settings: ScalerSettings, task_s: float, now: datetime) -> int:
    """Instances, those there are included, that work off the backlog in time; whatever the limits."""
    backlog = seen.backlog
    if backlog == 0:
        return WAKE_CAPACITY if seen.is_called and not seen.desired else 0
    boot_s = settings.assumed_boot.total_seconds() if seen.boot_s is None else seen.boot_s
    target_s = settings.target_s
    horizon_s = boot_s + target_s
    tasks = backlog + seen.arrivals_per_s * horizon_s
    running = seen.running
    left_s = tasks * task_s - running * horizon_s
    there = running + len(seen.coming) + seen.ordered
    if left_s > 0:
        left_s -= seen.ordered * target_s
        for one in seen.coming:
            left_s -= min(horizon_s, target_s + (now - one.since).total_seconds())
            if left_s <= 0:
                break
    more = math.ceil(left_s / target_s) if left_s > 0 else 0
    if more == 0:
        # Those above the capacity, while Auto Scaling exchanges some, go by themselves.
        there = min(there, seen.desired)
    return max(WAKE_CAPACITY, min(there + more, math.ceil(tasks)))


def _kept(seen: Observed, settings: ScalerSettings, task_s: float) -> int:
    """Instances that are of use, were it only soon."""
    if not seen.backlog:
        return WAKE_CAPACITY if seen.is_called else 0
    tasks = seen.backlog + seen.arrivals_per_s * settings.target_s
    return max(WAKE_CAPACITY, min(math.ceil(tasks * task_s / settings.target_s), math.ceil(tasks)))


def _surplus(seen: Observed, settings: ScalerSettings, task_s: float, now: datetime) -> Surplus | None:
    """What the looks before have found, and this one."""
    is_held = seen.manual is not None and seen.manual.holds(now)
    # Who goes while others die at boot is not replaced.
    if is_held or seen.rollout is not RolloutStage.NONE or seen.boot_failures >= settings.most_boot_failures:
        return None
    load = max(seen.backlog, seen.arrivals_per_s * task_s)
    needed = max(_kept(seen, settings, task_s), math.ceil(load * SPARE), WAKE_CAPACITY)
    # Those on their way are none too many yet.
    count = min(seen.desired, seen.running) - max(seen.limits.least, needed)
    if count <= 0:
        return None
    before = seen.surplus
    if before is None or seen.desired > before.desired or now - before.at > _CLOSE:
        return Surplus(now, count, seen.desired, now)
    return Surplus(before.since, min(before.least, count), seen.desired, now)


def _left_of(surplus: Surplus | None, removed: int) -> Surplus | None:
    if surplus is None or removed == 0:
        return surplus
    if removed >= surplus.least:
        return None
    return replace(surplus, least=surplus.least - removed, desired=surplus.desired - removed)


def _removable(
    seen: Observed, settings: ScalerSettings, task_s: float, now: datetime, surplus: Surplus | None
) -> tuple[str, ...]:
    if seen.rollout is not RolloutStage.NONE:
        return ()
    least = seen.limits.least
    if seen.boot_failures >= settings.most_boot_failures and _has_failed_lately(seen, settings, now):
        # Auto Scaling would replace the dead for ever; without their places it does not.
        room = max(0, seen.desired - max(least, seen.running))
        return tuple(one.instance_id for one in seen.coming[: min(room, MOST_REMOVALS)])
    if not seen.idle:
        return ()
    if seen.manual is not None and seen.manual.holds(now):
        room = seen.desired - max(least, seen.manual.capacity)
        return _longest_idle(seen, room) if room > 0 else ()
    room = seen.desired - max(least, _kept(seen, settings, task_s))
    if room <= 0:
        return ()
    lasting = surplus.least if surplus is not None and now - surplus.since >= settings.surplus_after else 0
    idle = sorted(seen.idle, key=lambda one: (one.since, one.instance_id))
    leave: list[str] = []
    for one in idle[: min(room, MOST_REMOVALS)]:
        is_last = seen.desired - len(leave) <= WAKE_CAPACITY
        is_long = now - one.since >= (settings.idle_after if is_last else settings.surplus_after)
        if not is_long and len(leave) >= lasting:
            break
        leave.append(one.instance_id)
    return tuple(leave)


def _longest_idle(seen: Observed, count: int) -> tuple[str, ...]:
    idle = sorted(seen.idle, key=lambda one: (one.since, one.instance_id))
    return tuple(one.instance_id for one in idle[: min(count, MOST_REMOVALS)])


def _has_failed_lately(seen: Observed, settings: ScalerSettings, now: datetime) -> bool:
    return seen.boot_failed_at is not None and now - seen.boot_failed_at < settings.boot_retry


def _has_an_end_to_come(seen: Observed, now: datetime) -> bool:
    """Idle times, an operator's hours, On-Demand in the place of Spot: what ends without a task."""
    if seen.manual is not None and seen.manual.holds(now):
        return seen.manual.until is not None or seen.desired > max(seen.limits.least, seen.manual.capacity)
    return seen.desired > seen.limits.least or seen.on_demand_since is not None


def _market(seen: Observed, settings: ScalerSettings, now: datetime) -> Market | None:
    # A refresh holds the group's purchase options (Auto Scaling User Guide, "How an instance refresh works").
    if settings.fallback_after is None or seen.rollout is not RolloutStage.NONE:
        return None
    if seen.on_demand_since is not None:
        is_over = seen.backlog == 0 or now - seen.on_demand_since >= settings.return_after
        return Market.BACK_TO_SPOT if is_over else None
    is_short = seen.short_since is not None and now - seen.short_since >= settings.fallback_after
    return Market.TO_ON_DEMAND if is_short and seen.backlog else None
