"""Records hourly what Spot costs, for the types and zones of the fleets."""

from __future__ import annotations

from datetime import timedelta

from constructs import Construct

from sdfleet.domain import spot
from sdfleet.environment import SpotPriceEnvironment
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.handlers import Handler, HandlerCode
from sdfleet_cdk.permissions import Permission
from sdfleet_cdk.table_permission import record_permission

#: Pages of a day's prices for forty types, with the calls' repetitions.
_TIMEOUT = timedelta(minutes=2)
_MEMORY = 256


class SpotRecorder(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, deployment: DeploymentContext) -> None:
        super().__init__(scope, construct_id)
        fleets = [runtime.fleet for runtime in deployment.config.runtimes]
        # One fleet that may go everywhere makes all zones worth knowing.
        zones = {zone for fleet in fleets for zone in fleet.zones} if all(fleet.zones for fleet in fleets) else ()
        environment = SpotPriceEnvironment(
            table_name=deployment.environment.table_name,
            instance_types=tuple(sorted({one for fleet in fleets for one in fleet.instance_types})),
            zones=tuple(sorted(zones)),
        )
        code = HandlerCode(
            module="spot_prices",
            description="Records what Spot costs",
            memory=_MEMORY,
            timeout=_TIMEOUT,
            environment=environment.to_env(),
            permissions=(
                Permission(
                    "ReadPrices",
                    ("ec2:DescribeSpotPriceHistory",),
                    ("*",),
                    reason="The call has no resources to name (Service Authorization Reference).",
                ),
                record_permission("KeepPrices", deployment.table, "GetItem", "PutItem"),
            ),
        )
        self.handler = Handler(self, "SpotPrices", code=code, config=deployment.config, region=deployment.region)
        self.handler.repeat("EveryHour", name=f"{deployment.deployment_id}-spot-prices", every=spot.RECORD_EVERY)
