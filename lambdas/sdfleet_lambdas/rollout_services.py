"""A fleet's rollouts on AWS: what the recorder and the commands work with."""

from __future__ import annotations

import os
import uuid
from functools import cache

from sdfleet.aws.boot_table import DynamoBootRecords
from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.aws.rollout_group import AutoScalingRolloutGroup
from sdfleet.aws.rollout_table import DynamoRollouts
from sdfleet.aws.trial_alarms import TrialAlarms
from sdfleet.domain import names
from sdfleet.environment import RolloutEnvironment
from sdfleet.telemetry import logs
from sdfleet_lambdas.building import ONE_AT_A_TIME
from sdfleet_lambdas.rollouts import FleetRollouts


def fleet_rollouts(clients: Clients, *, deployment_id: str, table_name: str, runtime: str) -> FleetRollouts:
    releases = SsmReleaseStore(clients.ssm, deployment_id)
    return FleetRollouts(
        runtime=runtime,
        store=DynamoRollouts(clients.dynamodb, table_name),
        group=AutoScalingRolloutGroup(
            clients.autoscaling,
            clients.ec2,
            SystemClock(),
            group_name=names.fleet_name(deployment_id, runtime),
            alarms=TrialAlarms(clients.cloudwatch, releases, deployment_id=deployment_id, runtime=runtime),
        ),
        releases=releases,
        clock=SystemClock(),
        new_id=lambda: uuid.uuid4().hex[:12],
        boots=DynamoBootRecords(clients.dynamodb, table_name),
    )


def all_rollouts() -> tuple[FleetRollouts, ...]:
    """The recorder's own, from its environment: every fleet of the deployment."""
    with ONE_AT_A_TIME:
        return _all_rollouts()


@cache
def _all_rollouts() -> tuple[FleetRollouts, ...]:
    environment = RolloutEnvironment.from_env(os.environ)
    logs.configure(environment.log_level)
    clients = Clients()
    return tuple(
        fleet_rollouts(
            clients, deployment_id=environment.deployment_id, table_name=environment.table_name, runtime=runtime
        )
        for runtime in environment.runtimes
    )
