"""A local Auto Scaling group on instances that are no processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sdfleet.memory.clock import FakeClock
from sdfleet_local.group import LocalGroup
from sdfleet_local.imds import InstanceMetadata
from sdfleet_local.instance import InstanceDescription, LifecycleState
from sdfleet_local.member import TerminationHook
from sdfleet_local.processes import ProcessIdentity

SECOND = timedelta(seconds=1)
GROUP = "local-sdruntime"
HOOK = "local-sdruntime-termination"


@dataclass
class FakeInstance:
    instance_id: str
    metadata: InstanceMetadata
    is_running: bool = True
    ready: bool = False
    idle: bool = True
    signals: list[str] = field(default_factory=list)
    identity: ProcessIdentity | None = None

    def last_words(self) -> str:
        return "it hurts"

    def is_ready(self) -> bool:
        return self.ready

    def is_idle(self) -> bool:
        return self.idle

    def drain(self) -> None:
        self.signals.append("drain")

    def terminate(self) -> None:
        self.signals.append("TERM")

    def kill(self) -> None:
        self.signals.append("KILL")
        self.is_running = False

    def describe(self, state: LifecycleState) -> InstanceDescription:
        return InstanceDescription(self.instance_id, 0, state.value, "1.0.0", "", "sdruntime", "", "", "")

    def close(self) -> None:
        self.signals.append("closed")


@dataclass
class FakeLauncher:
    launched: list[FakeInstance] = field(default_factory=list)

    def launch(self, runtime: str, instance_id: str) -> FakeInstance:
        instance = FakeInstance(instance_id, InstanceMetadata(instance_id, "1.0.0", "z", "r"))
        self.launched.append(instance)
        return instance


@dataclass
class Bench:
    """A group of `capacity` on fakes."""

    capacity: int
    clock: FakeClock = field(default_factory=FakeClock)
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    depth: int = 0
    hook: TerminationHook | None = field(default_factory=lambda: TerminationHook(HOOK))

    def __post_init__(self) -> None:
        self.started_at = self.clock.now()
        self.group = LocalGroup(
            name=GROUP,
            runtime="sdruntime",
            capacity=self.capacity,
            launcher=self.launcher,
            clock=self.clock,
            depth=lambda: self.depth,
            hook=self.hook,
        )

    def tick(self, after: timedelta = timedelta(0)) -> None:
        self.clock.advance(after)
        self.group.tick()

    def in_service(self) -> list[FakeInstance]:
        """Bring everything that was launched into service."""
        self.tick()
        for instance in self.launcher.launched:
            instance.ready = True
        self.tick()
        return [one for one in self.launcher.launched if one.is_running]

    def states(self) -> list[str]:
        return [description.state for description in self.group.describe()]
