"""A group's processes, which an operator can suspend (Auto Scaling User Guide, "Suspend and resume processes")."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Process(StrEnum):
    LAUNCH = "Launch"
    TERMINATE = "Terminate"
    #: Nothing here has a load balancer.
    ADD_TO_LOAD_BALANCER = "AddToLoadBalancer"
    ALARM_NOTIFICATION = "AlarmNotification"
    #: There is one zone.
    AZ_REBALANCE = "AZRebalance"
    HEALTH_CHECK = "HealthCheck"
    INSTANCE_REFRESH = "InstanceRefresh"
    REPLACE_UNHEALTHY = "ReplaceUnhealthy"
    #: There are none.
    SCHEDULED_ACTIONS = "ScheduledActions"


class Suspensions:
    def __init__(self, suspended: Iterable[Process] = ()) -> None:
        self.suspended: frozenset[Process] = frozenset(suspended)

    def suspend(self, processes: Iterable[Process]) -> None:
        self.suspended |= frozenset(processes)

    def resume(self, processes: Iterable[Process]) -> None:
        self.suspended -= frozenset(processes)

    def holds(self, process: Process) -> bool:
        return process in self.suspended
