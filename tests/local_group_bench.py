"""A local Auto Scaling group on instances that are no processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sdfleet.memory.clock import FakeClock
from sdfleet_local.group import LocalGroup
from sdfleet_local.imds import InstanceMetadata
from sdfleet_local.instance import InstanceDescription, LifecycleState
from sdfleet_local.member import SPOT_NOTICE
from sdfleet_local.processes import ProcessIdentity
from sdfleet_local.refresh_record import RefreshEvent
from sdfleet_local.refresh_run import AlarmState
from sdfleet_local.scaling_dynamic import DynamicScaling
from sdfleet_local.scaling_errors import ValidationError
from sdfleet_local.scaling_hooks import HookResult, LifecycleHook, Transition
from sdfleet_local.scaling_templates import Configuration, Specification, Template, Templates

SECOND = timedelta(seconds=1)
GROUP = "local-sdruntime"
HOOK = "local-sdruntime-termination"
TEMPLATE = "lt-0"
TERMINATION_HOOK = LifecycleHook(HOOK, Transition.TERMINATING, SPOT_NOTICE, HookResult.CONTINUE)


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
        return InstanceDescription(self.instance_id, 0, state.value, self.metadata.release, "", "sdruntime", "", "", "")

    def close(self) -> None:
        self.signals.append("closed")


@dataclass
class FakeLauncher:
    launched: list[FakeInstance] = field(default_factory=list)

    #: Releases whose instances end before they are in service.
    broken: set[str] = field(default_factory=set)

    def launch(self, runtime: str, instance_id: str, release: str) -> FakeInstance:
        instance = FakeInstance(instance_id, InstanceMetadata(instance_id, release, "us-east-1a", "us-east-1"))
        instance.is_running = release not in self.broken
        self.launched.append(instance)
        return instance


@dataclass
class FakeTemplates:
    """A launch template whose version N is release 1.(N-1).0, up to version 9."""

    tags: dict[str, str] = field(default_factory=dict)

    def find(self, specification: Specification) -> Template:
        number = {"$Latest": "9", "$Default": "1"}.get(specification.version, specification.version)
        if not number.isdigit() or not 1 <= int(number) <= 9:
            raise ValidationError(f"There is no version {number} of it.")
        return Template(TEMPLATE, "fleet", number, f"1.{int(number) - 1}.0", "ami-1")

    def tag(self, instance_id: str, template: Template) -> None:
        self.tags[instance_id] = template.release

    def untag(self, instance_id: str) -> None:
        self.tags.pop(instance_id, None)


def a_configuration(version: str = "1") -> Configuration:
    """A group's or a refresh's."""
    specification = Specification(TEMPLATE, None, version)
    shape = {"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": version}}
    return Configuration(shape, specification, FakeTemplates().find(specification))


@dataclass
class Bench:
    """A group of `capacity` on fakes."""

    capacity: int
    name: str = GROUP
    clock: FakeClock = field(default_factory=FakeClock)
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    hooks: tuple[LifecycleHook, ...] = (TERMINATION_HOOK,)
    #: The launch hook that instances complete once they are ready.
    reported_hook: str | None = None
    templates: Templates = field(default_factory=FakeTemplates)
    configuration: Configuration = field(default_factory=lambda: a_configuration())
    scaling: DynamicScaling = field(default_factory=DynamicScaling)
    maximum: int = 50
    alarms: dict[str, AlarmState] = field(default_factory=dict)
    events: list[RefreshEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started_at = self.clock.now()
        self.group = LocalGroup(
            name=self.name,
            runtime="sdruntime",
            capacity=self.capacity,
            configuration=self.configuration,
            templates=self.templates,
            read_alarms=lambda names: {name: self.alarms[name] for name in names if name in self.alarms},
            on_event=self.events.append,
            launcher=self.launcher,
            clock=self.clock,
            scaling=self.scaling,
            maximum=self.maximum,
            hooks=self.hooks,
            reported_hook=self.reported_hook,
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
