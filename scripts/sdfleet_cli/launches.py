"""Launches instances of a fleet and measures them: from the order to the first picture, phase by phase."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from sdfleet.aws.boot_log import BootReport
from sdfleet.errors import DeploymentRefused, ServiceUnavailable
from sdfleet.fleet_ports import GroupState

#: A phase that the group shows is known this exactly.
LOOK = timedelta(seconds=1)
#: Logs come a little after what they tell of.
LOG_PATIENCE = timedelta(seconds=60)

#: What the group shows; the instance tells the others.
TO_LAUNCH, TO_SERVICE = "order to instance", "order to service"
TO_PICTURE = "launch to picture"


class MeasuredGroup(Protocol):
    def look(self) -> GroupState: ...

    def raise_to(self, desired: int) -> None: ...

    def remove(self, instance_id: str) -> None: ...


class BootLog(Protocol):
    def read(self, instance_id: str) -> BootReport | None:
        """None: it has told nothing yet."""


@dataclass
class Launch:
    instance_id: str
    #: By phase.
    seconds: dict[str, float] = field(default_factory=dict)
    #: Why it never got into service.
    failure: str | None = None


class LaunchBenchmark:
    def __init__(
        self,
        group: MeasuredGroup,
        log: BootLog,
        *,
        patience: timedelta,
        on_launch: Callable[[Launch], object] = lambda launch: None,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`on_launch` is told of each as it is done with."""
        self._group = group
        self._log = log
        self._patience = patience
        self._on_launch = on_launch
        self._monotonic = monotonic
        self._pause = pause

    def measure(self, launches: int, *, at_once: int) -> list[Launch]:
        """Raises:
        DeploymentRefused: the fleet cannot have so many instances more.
        DeploymentError, ServiceUnavailable: AWS says no.
        """
        state = self._group.look()
        room = state.limits.greatest - state.desired
        if at_once > room:
            raise DeploymentRefused(
                f"The fleet may have {state.limits.greatest} instances and has been asked for {state.desired}: "
                f"{at_once} more at once do not fit. Raise fleet.maxSize, or give --at-once {max(room, 1)}."
            )
        done: list[Launch] = []
        while len(done) < launches:
            done += self._round(min(at_once, launches - len(done)))
        return done

    def _round(self, count: int) -> list[Launch]:
        before = self._group.look()
        known = {one.instance_id for one in before.instances}
        ordered_at = self._monotonic()
        self._group.raise_to(before.desired + count)
        found: dict[str, Launch] = {}
        try:
            self._follow(found, known, ordered_at, count)
            for launch in found.values():
                self._read_log(launch)
                self._on_launch(launch)
        finally:
            # Whatever happened: what was launched for this is not left on the bill.
            for launch in found.values():
                if launch.failure is None:
                    # The scaler may have been quicker: it ends what is idle.
                    with contextlib.suppress(ServiceUnavailable):
                        self._group.remove(launch.instance_id)
        return list(found.values())

    def _follow(self, found: dict[str, Launch], known: set[str], ordered_at: float, count: int) -> None:
        open_ones: set[str] = set()
        while True:
            passed = self._monotonic() - ordered_at
            seen = {one.instance_id: one for one in self._group.look().instances if one.instance_id not in known}
            for instance_id, one in seen.items():
                if instance_id not in found and len(found) < count:
                    found[instance_id] = Launch(instance_id, {TO_LAUNCH: passed})
                    open_ones.add(instance_id)
                if instance_id in open_ones and one.is_in_service:
                    found[instance_id].seconds[TO_SERVICE] = passed
                    open_ones.discard(instance_id)
            for instance_id in open_ones - seen.keys():
                found[instance_id].failure = "the group gave it up"
                open_ones.discard(instance_id)
            if len(found) == count and not open_ones:
                return
            if passed >= self._patience.total_seconds():
                for instance_id in open_ones:
                    found[instance_id].seconds.pop(TO_SERVICE, None)
                raise DeploymentRefused(
                    f"After {passed:.0f} s {count - len(found) + len(open_ones)} of {count} instances were not in "
                    "service; the group's activities (aws autoscaling describe-scaling-activities) say why."
                )
            self._pause(LOOK.total_seconds())

    def _read_log(self, launch: Launch) -> None:
        until = self._monotonic() + LOG_PATIENCE.total_seconds()
        while (report := self._log.read(launch.instance_id)) is None and self._monotonic() < until:
            self._pause(LOOK.total_seconds())
        if report is None:
            return
        launch.seconds |= report.phases
        if report.total_s is not None:
            launch.seconds[TO_PICTURE] = report.total_s
        if launch.failure is not None:
            launch.failure = report.reason or launch.failure


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that is not below `share` of them (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def by_phase(launches: Sequence[Launch]) -> Mapping[str, list[float]]:
    """Seconds of those that got into service, by phase, in the order in which they were seen first."""
    found: dict[str, list[float]] = {}
    for launch in launches:
        if launch.failure is None:
            for phase, seconds in launch.seconds.items():
                found.setdefault(phase, []).append(seconds)
    return found
