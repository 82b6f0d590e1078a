"""What became of an instance's tasks, for CloudWatch: the successes of some seconds are one log line.

A line for each would be a third of what an instance logs, and logs cost more than queues. A failure goes out at once,
with all that is waiting: a release on trial is judged by both.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from sdfleet.domain import names
from sdfleet.domain.task import Task, TaskStatus
from sdfleet.telemetry import metrics, task_metrics

#: Of CloudWatch's minute; so much is lost with an instance that is killed.
WAIT_S = 15.0
#: Values of one metric in a line (CloudWatch User Guide, "Embedded metric format specification").
MOST_VALUES = 100


@dataclass
class _Pooled:
    counts: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class TaskTally:
    """To be used from one event loop."""

    def __init__(self, deployment_id: str) -> None:
        self._deployment_id = deployment_id
        self._pooled: defaultdict[tuple[str, str | None], _Pooled] = defaultdict(_Pooled)
        self._timer: asyncio.TimerHandle | None = None

    def ended(self, task: Task, *, release: str | None) -> None:
        """Once a task, when its notice is out. `release`: of this instance, if it was what ended the task."""
        counts, seconds = task_metrics.of_end(task)
        pooled = self._of(task, release)
        pooled.counts.update(counts)
        for name, value in seconds.items():
            pooled.seconds[name].append(value)
        self._settle(is_urgent=task.status is not TaskStatus.SUCCEEDED)

    def try_failed(self, task: Task, *, release: str | None) -> None:
        """A run failed, or an instance could not begin it; whatever becomes of the task."""
        self._of(task, release).counts[names.TRIES_FAILED] += 1
        self._settle(is_urgent=True)

    def flush(self) -> None:
        """Write what waits; what ends an instance calls it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for (fleet, release), pooled in self._pooled.items():
            metrics.emit(
                pooled.counts,
                {names.FLEET_DIMENSION: fleet},
                seconds=pooled.seconds,
                also_by={names.RELEASE_DIMENSION: release} if release else {},
            )
        self._pooled.clear()

    def _of(self, task: Task, release: str | None) -> _Pooled:
        return self._pooled[names.fleet_name(self._deployment_id, task.runtime), release]

    def _settle(self, *, is_urgent: bool) -> None:
        longest = max(
            (len(values) for pooled in self._pooled.values() for values in pooled.seconds.values()), default=0
        )
        if is_urgent or longest >= MOST_VALUES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT_S, self.flush)
