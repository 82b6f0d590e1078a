"""What stands behind the schedulers during the storm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sdfleet.domain.task import RuntimeType
from sdfleet_local.chaos.loop_thread import LoopThread
from sdfleet_local.chaos.runtime_double import Job, RuntimeDouble
from sdfleet_local.chaos.schedule import FaultKind
from sdfleet_local.chaos.traffic import RUNTIME
from sdfleet_local.chaos.workload import DoubleWorkload, Workload
from sdfleet_local.plan import PlannedRuntime

#: Above the longest hang, so that most are ended by the runtime's death and some by the task's time limit.
_TASK_TIMEOUT_S = 18


class Runtimes(Protocol):
    """One runtime an instance. For any thread."""

    @property
    def workload(self) -> Workload: ...

    @property
    def jobs(self) -> Sequence[Job]:
        """Every try of a task that the runtimes saw, in the order of their start."""

    @property
    def unended_hangs(self) -> Sequence[str]:
        """Instances whose runtime hung and was not restarted in time, though the service could."""

    @property
    def hangs_ended_s(self) -> Sequence[float]:
        """From a hang to the restart that a scheduler asked for."""

    def planned(self) -> PlannedRuntime: ...

    def strike(self, kind: FaultKind, instance_id: str, *, lasts_s: float, jobs: int) -> bool:
        """False if there was nothing to strike."""

    def strike_all(self, *, lasts_s: float) -> bool:
        """Every runtime is gone for a while."""

    def is_busy(self, instance_id: str) -> bool: ...

    def is_up(self, instance_id: str) -> bool:
        """Whether there is something to strike: a server that is just starting is away already."""

    def close(self) -> None: ...


class DoubleRuntimes:
    """The runtime double, on the doubles' event loop."""

    def __init__(self, loop: LoopThread, *, seed: int, longest_job_s: float) -> None:
        self._loop = loop
        self._double = RuntimeDouble(seed=seed, longest_job_s=longest_job_s)
        self._loop.call(self._double.start())
        self.workload = DoubleWorkload()
        #: The double ends its hangs by itself.
        self.unended_hangs: Sequence[str] = ()
        self.hangs_ended_s: Sequence[float] = ()

    @property
    def jobs(self) -> Sequence[Job]:
        return self._double.jobs

    def planned(self) -> PlannedRuntime:
        return PlannedRuntime(name=RUNTIME, type=RuntimeType.CUSTOM, url=self._double.url, timeout_s=_TASK_TIMEOUT_S)

    def strike(self, kind: FaultKind, instance_id: str, *, lasts_s: float, jobs: int) -> bool:
        self._loop.call(self._double.strike(kind, instance_id, lasts_s=lasts_s, jobs=jobs))
        return True

    def strike_all(self, *, lasts_s: float) -> bool:
        self._loop.call(self._double.strike_all(lasts_s=lasts_s))
        return True

    def is_busy(self, instance_id: str) -> bool:
        return self._double.is_busy(instance_id)

    def is_up(self, instance_id: str) -> bool:
        return True

    def close(self) -> None:
        self._loop.call(self._double.close())
