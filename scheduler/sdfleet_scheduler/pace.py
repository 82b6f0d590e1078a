"""How long tasks take here, and so when the one at the runtime will end."""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import timedelta
from statistics import fmean, median

#: Enough to forget a cold model, few enough to follow a change of workload.
REMEMBERED = 9
#: Below this share done the runtime's progress says little: loading a model comes before the first step.
TELLING_PROGRESS = 0.1


class Pace:
    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._preparations: deque[float] = deque([0.0], maxlen=REMEMBERED)

    def generated(self, kind: str, took: timedelta) -> None:
        """A task of this kind (its type) kept the runtime for `took`."""
        self._seconds[kind].append(took.total_seconds())

    def prepared(self, took: timedelta) -> None:
        """From the receive of a message until its task could have been handed over."""
        self._preparations.append(took.total_seconds())

    @property
    def task_time(self) -> timedelta | None:
        """What a task keeps the runtime for, over all kinds of late; None: there was none."""
        seconds = [took for kind in self._seconds.values() for took in kind]
        return timedelta(seconds=fmean(seconds)) if seconds else None

    @property
    def preparation(self) -> timedelta:
        """The longest of late."""
        return timedelta(seconds=max(self._preparations))

    def remaining(self, kind: str, *, elapsed: timedelta, progress: float) -> timedelta | None:
        """Time until the end of a run; None: nobody knows."""
        if progress >= TELLING_PROGRESS:
            return max(timedelta(0), elapsed / progress - elapsed)
        if not self._seconds[kind]:
            return None
        return max(timedelta(0), timedelta(seconds=median(self._seconds[kind])) - elapsed)
