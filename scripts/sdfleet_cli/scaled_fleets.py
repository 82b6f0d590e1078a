"""The fleets of a deployment, as the commands on their size see them."""

from __future__ import annotations

from sdfleet.aws.clock import SystemClock
from sdfleet.aws.scaled_group import AutoScalingScaledGroup
from sdfleet.aws.scaler_schedule import EventBridgeSchedule
from sdfleet.aws.scaler_table import DynamoScalerStore
from sdfleet.domain import names
from sdfleet.errors import DeploymentRefused, ServiceUnavailable
from sdfleet_cli.reach import reach
from sdfleet_lambdas.manual_scaling import ManualScaling


def find_fleet(deployment_id: str, runtime: str, *, region: str | None) -> ManualScaling:
    """Raises:
    DeploymentRefused: the deployment has no such fleet, or no fast scaler.
    """
    reached = reach(deployment_id, region)
    clients = reached.clients
    schedule = EventBridgeSchedule(clients.events, names.scaler_schedule_name(reached.deployment_id))
    fleet = ManualScaling(
        runtime,
        AutoScalingScaledGroup(clients.autoscaling, names.fleet_name(reached.deployment_id, runtime)),
        DynamoScalerStore(clients.dynamodb, names.table_name(reached.deployment_id)),
        schedule,
        SystemClock(),
    )
    try:
        fleet.group.look()
    except ServiceUnavailable as error:
        raise DeploymentRefused(
            f"{reached.deployment_id} has no fleet {runtime} here; scripts/list-deployments.sh lists deployments."
        ) from error
    try:
        _ = schedule.is_on
    except ServiceUnavailable as error:
        raise DeploymentRefused(
            f"{reached.deployment_id} has no fast scaler, which would keep to the number; set fleet.scaling.fastScaler"
            " and deploy, or scale the group by AWS's own means."
        ) from error
    return fleet
