"""Instance refreshes on the local group's bench: seconds pass, instances come into service at once unless told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from local_group_bench import SECOND, Bench, a_configuration
from sdfleet_local.refresh_preferences import Preferences
from sdfleet_local.refresh_record import RefreshRecord
from sdfleet_local.scaling_hooks import LifecycleHook

ROLLING = Preferences(min_healthy=100, max_healthy=200)


@dataclass
class RefreshBench(Bench):
    """Its group has `capacity` instances of version 1 in service."""

    #: What leaves leaves at once.
    hooks: tuple[LifecycleHook, ...] = ()
    #: Releases whose instances come into service.
    sound: set[str] = field(default_factory=lambda: {"1.0.0", "1.1.0", "1.2.0"})
    #: The fewest in service and the most of all, at any time.
    fewest: int = 10_000
    most: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settle()
        self.fewest, self.most = self.capacity, self.capacity

    def start(self, preferences: Preferences = ROLLING, *, version: str | None = "2") -> str:
        return self.group.start_refresh(preferences, None if version is None else a_configuration(version))

    def second(self) -> None:
        self.tick(SECOND)
        for instance in self.launcher.launched:
            if "TERM" in instance.signals:
                # Without a task in hand an instance leaves at once.
                instance.is_running = False
            instance.ready = instance.metadata.release in self.sound
        states = Counter(self.states())
        self.fewest = min(self.fewest, states["InService"])
        self.most = max(self.most, states["InService"] + states["Pending"])

    def settle(self, seconds: int = 10) -> None:
        for _ in range(seconds):
            self.second()

    def pass_by(self, wait: timedelta) -> None:
        """In one go."""
        self.clock.advance(wait)
        self.settle()

    @property
    def refresh(self) -> RefreshRecord:
        """The newest."""
        return self.group.refreshes()[0]

    @property
    def status(self) -> str:
        """Of the newest refresh."""
        return self.refresh.status.value

    @property
    def releases(self) -> dict[str, int]:
        """Instances that stay, by release."""
        members = self.group.describe_group().members
        return dict(Counter(one.template.release for one in members if not one.state.value.startswith("Terminat")))

    @property
    def kinds(self) -> list[str]:
        """Of the events, in order."""
        return [event.kind for event in self.events]
