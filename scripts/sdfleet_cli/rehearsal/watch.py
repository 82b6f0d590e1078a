"""Looks at a fleet all the time, without moving anything: what was really there, moment by moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sdfleet.domain.instance_refresh import TrialWatch
from sdfleet.domain.rollout import Phase, Rollout
from sdfleet.errors import SdfleetError
from sdfleet_lambdas.rollouts import DEPLOYMENT_STATUS, FleetRollouts

#: Between two looks.
LOOK_S = 0.4


@dataclass(frozen=True)
class Sight:
    """One moment."""

    at: float
    #: Instances in service, by release.
    releases: Mapping[str, int]
    #: The record of the last rollout, as the recorder has it; None: there is none.
    rollout: Rollout | None
    #: What the group itself says: no refresh is under way.
    is_refresh_over: bool
    #: The alarms on a release on trial.
    watch: TrialWatch

    @property
    def in_service(self) -> int:
        return sum(self.releases.values())


@dataclass
class Watch:
    fleet: FleetRollouts
    #: What `sdfleet local instances` prints.
    instances: Callable[[], list[dict[str, Any]]]
    sights: list[Sight] = field(default_factory=list, repr=False)
    _stopping: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._repeat, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(60.0)

    def _repeat(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.sights.append(self._look())
            except SdfleetError:
                # The endpoint is busy; the next look is soon.
                continue

    def _look(self) -> Sight:
        observed = self.fleet.group.observed()
        members = self.instances()
        return Sight(
            at=time.monotonic(),
            releases=Counter(str(one["release"]) for one in members if one["state"] == "InService"),
            rollout=self.fleet.history().current,
            is_refresh_over=observed.is_refreshed,
            watch=observed.watch,
        )

    def until(self, phases: set[Phase], *, rollout_id: str | None = None, within_s: float) -> Rollout | None:
        """The rollout once it is recorded in one of `phases`; None: it never was, in time."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            rollout = self.sights[-1].rollout if self.sights else None
            if rollout is not None and rollout.phase in phases and rollout_id in (None, rollout.id):
                return rollout
            time.sleep(LOOK_S / 4)
        return None

    def of(self, rollout: Rollout) -> list[Sight]:
        return [sight for sight in self.sights if sight.rollout is not None and sight.rollout.id == rollout.id]

    def shares(self, rollout: Rollout, phase: Phase) -> Counter[int]:
        """In how many looks so many instances in service were on the new release."""
        version = rollout.target.version
        return Counter(
            sight.releases.get(version, 0)
            for sight in self.of(rollout)
            if sight.rollout is not None and sight.rollout.phase is phase
        )

    def unwatched(self, rollout: Rollout) -> int:
        """In how many looks a refresh was under way without all of its alarms."""
        return sum(
            not sight.is_refresh_over and sight.watch is not TrialWatch.ALL
            for sight in self.of(rollout)
            if sight.rollout is not None and not sight.rollout.is_over
        )

    def is_rid_of_alarms(self, *, within_s: float) -> bool:
        """Whether no rollout's alarm is there any more, in time."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if self.sights and self.sights[-1].watch is TrialWatch.NONE:
                return True
            time.sleep(LOOK_S / 4)
        return False

    def lag_s(self, rollout: Rollout) -> float:
        """From the moment in which the group was seen to be done to the one in which that was recorded."""
        over_at: float | None = None
        for sight in self.of(rollout):
            if sight.rollout is not None and sight.rollout.is_over:
                return 0.0 if over_at is None else sight.at - over_at
            if not sight.is_refresh_over:
                over_at = None
            elif over_at is None and sight.rollout is not None and sight.rollout.refresh_id is not None:
                over_at = sight.at
        return 0.0

    def face(self) -> tuple[str | None, str | None, str | None]:
        """`image-version`, `previous-version`, `deployment-status` as they are now."""
        fleet = self.fleet
        status = fleet.releases.read(fleet.runtime, DEPLOYMENT_STATUS)
        return fleet.current_version(), fleet.previous_version(), status
