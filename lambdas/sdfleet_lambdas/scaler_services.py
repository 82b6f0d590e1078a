"""What the fast scaler works with."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.rollout_table import DynamoRollouts
from sdfleet.aws.scaled_group import AutoScalingScaledGroup
from sdfleet.aws.scaler_schedule import EventBridgeSchedule
from sdfleet.aws.scaler_table import DynamoScalerStore, DynamoWorkReports
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.domain import names
from sdfleet.fleet_ports import ScalerSchedule
from sdfleet.ports import Clock
from sdfleet.scaler_environment import FleetScalerEnvironment
from sdfleet.telemetry import logs
from sdfleet_lambdas.building import ONE_AT_A_TIME
from sdfleet_lambdas.scaled_fleets import ScaledFleet


@dataclass(frozen=True)
class ScalerServices:
    fleets: tuple[ScaledFleet, ...]
    schedule: ScalerSchedule
    clock: Clock
    #: Takes seconds.
    sleep: Callable[[float], None]
    #: Names an invocation.
    new_id: Callable[[], str]


def scaler_services() -> ScalerServices:
    """This process's own, from its environment."""
    with ONE_AT_A_TIME:
        return _scaler_services()


@cache
def _scaler_services() -> ScalerServices:
    environment = FleetScalerEnvironment.from_env(os.environ)
    logs.configure(environment.log_level)
    clients, clock = Clients(), SystemClock()
    table = environment.table_name
    fleets = []
    for fleet in environment.fleets:
        name = names.fleet_name(environment.deployment_id, fleet.runtime)
        fleets.append(
            ScaledFleet(
                runtime=fleet.runtime,
                name=name,
                group=AutoScalingScaledGroup(clients.autoscaling, name),
                queue=SqsTaskQueue(clients.sqs, fleet.queue_url),
                store=DynamoScalerStore(clients.dynamodb, table),
                reports=DynamoWorkReports(clients.dynamodb, table),
                rollouts=DynamoRollouts(clients.dynamodb, table),
                settings=fleet.settings,
                clock=clock,
            )
        )
    return ScalerServices(
        fleets=tuple(fleets),
        schedule=EventBridgeSchedule(clients.events, names.scaler_schedule_name(environment.deployment_id)),
        clock=clock,
        sleep=time.sleep,
        new_id=lambda: uuid.uuid4().hex[:12],
    )
