"""A group with a fleet's policies and alarms, on a queue that the test fills, in minutes that it lets pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from local_group_bench import SECOND, Bench
from sdfleet.domain.scaling import DEFAULT_IDLE_AFTER, DEFAULT_STEPS, DEFAULT_WARM_UP, StepTable
from sdfleet_local.scaling_dynamic import DynamicScaling
from sdfleet_local.scaling_hooks import LifecycleHook
from sdfleet_local.scaling_metrics import MINUTE, QueueDepth
from sdfleet_local.scaling_rules import FleetRules
from sdfleet_local.scaling_watch import ScalingWatch

#: The configuration's default.
MAXIMUM = 5


@dataclass
class AlarmShelf:
    """CloudWatch's alarms without its evaluation, as the embedded endpoint has them."""

    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: In order.
    changes: list[tuple[str, str, str]] = field(default_factory=list)

    def put_metric_alarm(self, **alarm: Any) -> None:
        arn = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{alarm['AlarmName']}"
        self.alarms[alarm["AlarmName"]] = {"AlarmArn": arn, "StateValue": "INSUFFICIENT_DATA", **alarm}

    def describe_alarms(self) -> dict[str, Any]:
        return {"MetricAlarms": list(self.alarms.values())}

    def set_alarm_state(self, *, AlarmName: str, StateValue: str, StateReason: str) -> None:  # noqa: N803
        self.alarms[AlarmName]["StateValue"] = StateValue
        self.changes.append((AlarmName, StateValue, StateReason))


@dataclass
class ScalingBench(Bench):
    """Its instances come into service at once, and leave at once."""

    hooks: tuple[LifecycleHook, ...] = ()
    scaling: DynamicScaling = field(default_factory=lambda: DynamicScaling(DEFAULT_WARM_UP, DEFAULT_IDLE_AFTER))
    maximum: int = MAXIMUM
    depth: QueueDepth = field(default_factory=lambda: QueueDepth(0, 0))
    table: StepTable = DEFAULT_STEPS
    idle_after: timedelta = DEFAULT_IDLE_AFTER
    shelf: AlarmShelf = field(default_factory=AlarmShelf)
    #: Whether what is launched comes into service.
    is_sound: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        cloudwatch: Any = self.shelf
        FleetRules(self.name, self.table, self.idle_after).put(self.group.scaling.policies, cloudwatch)
        self.watch = ScalingWatch([self.group], {self.name: lambda: self.depth}, cloudwatch, minute=MINUTE)
        self.settle()

    @property
    def desired(self) -> int:
        return self.group.describe_group().sizes.desired

    def settle(self) -> None:
        for _ in range(3):
            self.tick(SECOND)
            for instance in self.launcher.launched:
                instance.ready = self.is_sound
                if "TERM" in instance.signals:
                    instance.is_running = False

    def minute(self, visible: int | None = None, in_flight: int = 0) -> int:
        """The desired capacity after it; `visible` None: the queue stays as it is."""
        if visible is not None:
            self.depth = QueueDepth(visible, in_flight)
        self.clock.advance(MINUTE - 3 * SECOND)
        self.watch.look()
        self.settle()
        return self.desired

    def minutes(self, count: int, visible: int | None = None, in_flight: int = 0) -> list[int]:
        return [self.minute(visible, in_flight) for _ in range(count)]

    def warm_up(self) -> None:
        """Let everything that runs have run for long, with a queue that asks for nothing."""
        self.clock.advance(timedelta(hours=1))

    def state(self, alarm: str) -> str:
        return str(self.shelf.alarms[f"{self.name}-{alarm}"]["StateValue"])
