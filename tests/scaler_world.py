"""A fleet and a queue in memory, and the scaler that looks at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from builders import NOON
from sdfleet.domain.fleet_observation import ScalerSettings
from sdfleet.domain.scaler_record import InstanceWork
from sdfleet.domain.scaling import Limits
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.rollouts import MemoryRollouts
from sdfleet.memory.scaled_group import MemoryScaledGroup, MemorySchedule
from sdfleet.memory.scaler_store import MemoryScalerStore, MemoryWorkReports
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.memory.topic import MemoryTopic
from sdfleet_lambdas import fleet_scaler
from sdfleet_lambdas.scaled_fleets import ScaledFleet
from sdfleet_lambdas.scaler_services import ScalerServices
from sdfleet_lambdas.wake import FleetWaker

RUNTIME = "sdruntime"
UP_TO_TEN = Limits(0, 10)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
#: 10 s a task and 60 s to boot: six tasks for each instance that is yet to come.
SETTINGS = ScalerSettings(assumed_task=10 * SECOND, assumed_boot=60 * SECOND)


class World:
    """One fleet, and what happens to it while the scaler sleeps."""

    def __init__(self, *, desired: int = 0, limits: Limits = UP_TO_TEN) -> None:
        self.clock = FakeClock(NOON)
        self.group = MemoryScaledGroup(limits=limits, desired=desired)
        self.queue = MemoryTaskQueue(self.clock)
        self.store = MemoryScalerStore()
        self.reports = MemoryWorkReports()
        self.rollouts = MemoryRollouts()
        self.schedule = MemorySchedule()
        self.topic = MemoryTopic()
        #: Called after each sleep with the seconds since noon.
        self.meanwhile: Callable[[float], None] = lambda _: None
        self.settings = SETTINGS
        self._invocations = 0

    @property
    def at(self) -> float:
        """Seconds since noon."""
        return (self.clock.now() - NOON).total_seconds()

    def services(self, group: MemoryScaledGroup | None = None) -> ScalerServices:
        fleet = ScaledFleet(
            runtime=RUNTIME,
            name=f"sdfleet-{RUNTIME}",
            group=group or self.group,
            queue=self.queue,
            store=self.store,
            reports=self.reports,
            rollouts=self.rollouts,
            settings=self.settings,
            clock=self.clock,
        )
        return ScalerServices((fleet,), self.schedule, self.clock, self._sleep, self._new_id)

    def run(self) -> dict[str, str]:
        return fleet_scaler.handle({}, self.services())

    def minutes(self, count: int) -> None:
        """The schedule, while it is on."""
        for _ in range(count):
            if self.schedule.is_on:
                started = self.clock.now()
                self.run()
                self.clock.advance(max(timedelta(0), MINUTE - (self.clock.now() - started)))

    def waker(self) -> FleetWaker:
        return FleetWaker(self.store, self.topic, self.clock)

    def submit(self, count: int = 1) -> None:
        for _ in range(count):
            self.queue.send("task")

    def serve(self, *instance_ids: str, idle_since: datetime | None = None) -> None:
        """They are in service; `idle_since` None: with a task in hand."""
        for one in instance_ids:
            self.group.launch(one, in_service=True)
            self.reports.report(InstanceWork(one, self.clock.now(), idle_since))

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.meanwhile(self.at)

    def _new_id(self) -> str:
        self._invocations += 1
        return f"invocation-{self._invocations}"
