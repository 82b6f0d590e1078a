"""The stack that a user knows: API, functions and fleets, and every output of the wire contract."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet_cdk.alarms import Alarms
from sdfleet_cdk.ami_pipeline import AmiPipeline
from sdfleet_cdk.api import FrontApi
from sdfleet_cdk.callback_delivery import CallbackDelivery
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.fleet_scaler import FleetScaler, ScalerWake, scaled_runtimes
from sdfleet_cdk.fleet_scaling import FleetScaling
from sdfleet_cdk.functions import RequestFunctions
from sdfleet_cdk.network import Network
from sdfleet_cdk.observability import Dashboard
from sdfleet_cdk.references import deployment_context
from sdfleet_cdk.region import Region
from sdfleet_cdk.rollout_guard import RolloutGuard
from sdfleet_cdk.rollout_recorder import RolloutRecorder
from sdfleet_cdk.runtime_fleet import RuntimeFleet
from sdfleet_cdk.spot_recorder import SpotRecorder


class ServiceStack(cdk.Stack):
    def __init__(self, scope: Construct, construct_id: str, *, config: Config, region: Region) -> None:
        super().__init__(
            scope,
            construct_id,
            env=cdk.Environment(region=region.name),
            description=f"sdfleet: the image-generation service {config.stack_name}",
        )
        context = deployment_context(self, config=config, region=region)
        wake = ScalerWake(self, "ScalerWake", config=config) if scaled_runtimes(config) else None
        functions = RequestFunctions(self, "Functions", deployment=context, wake=wake)
        CallbackDelivery(self, "CallbackDelivery", deployment=context)
        SpotRecorder(self, "SpotRecorder", deployment=context)
        api = None
        if functions.api is not None:
            api = FrontApi(self, "FrontApi", deployment=context, function=functions.api.function)
        network = Network(self, "Network", config=config)
        fleets = []
        for runtime in config.runtimes:
            part = names.camel_case(runtime.name)
            fleet = RuntimeFleet(self, f"{part}Fleet", context=context, runtime=runtime, network=network)
            FleetScaling(self, f"{part}Scaling", fleet=fleet)
            fleets.append(fleet)
            if config.image_pipeline.enabled:
                AmiPipeline(
                    self,
                    f"{part}Ami",
                    config=config,
                    runtime=runtime,
                    network=network,
                    repositories=fleet.instance_role.repositories,
                )
        if wake is not None:
            scaled = [fleet for fleet in fleets if fleet.runtime.name in wake.runtimes]
            FleetScaler(self, "FleetScaler", deployment=context, fleets=scaled, wake=wake)
        RolloutRecorder(self, "RolloutRecorder", deployment=context, fleets=fleets)
        Alarms(self, "Alarms", config=config, has_api=config.has_api)
        if config.dashboard:
            Dashboard(self, "Dashboard", config=config, region=region, has_api=config.has_api)
        guard = RolloutGuard(self, "RefusedDuringRollout", deployment_id=config.stack_name, runtimes=config.runtimes)
        guard.protect(self)
        self._write_outputs(context, api)

    def _write_outputs(self, context: DeploymentContext, api: FrontApi | None) -> None:
        links = context.links
        outputs: dict[str, tuple[str | None, str]] = {
            "FrontApiEndpoint": (api.endpoint if api else None, "Where requests go; paths are appended to it"),
            "GetAPIKeyCommand": (api.get_key_command if api else None, "Prints the API key"),
            "ApiDomainTarget": (api.domain_target if api else None, "Point your domain's record at this name"),
            "sdNotificationLambdaARN": (context.request_topic.topic_arn, "The request topic"),
            "sdNotificationOutputArn": (context.result_topic.topic_arn, "The result topic"),
            "OutputBucket": (context.output_bucket.bucket_name, "Where pictures go"),
            "CloudFrontDomain": (links.domain_name if links else None, "Where signed links to pictures lead"),
        }
        for runtime in context.config.runtimes:
            part = names.camel_case(runtime.name)
            queue = context.fleet_queues[runtime.name].queue
            group = names.fleet_name(context.deployment_id, runtime.name)
            outputs[f"{part}QueueUrl"] = (queue.queue_url, f"The queue of the runtime {runtime.name}")
            outputs[f"{part}AutoScalingGroupName"] = (group, f"The fleet of the runtime {runtime.name}")
        for name, (value, description) in outputs.items():
            if value is not None:
                cdk.CfnOutput(self, f"Output{name}", value=value, description=description).override_logical_id(name)
