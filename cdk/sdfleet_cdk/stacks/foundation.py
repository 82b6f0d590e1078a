"""What keeps state: buckets, table, topics, queues, parameters, and the CDN with its bucket's policy."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet_cdk.delivery import Delivery
from sdfleet_cdk.image_pipeline import ImageBuild, ImageRepositories, image_parts
from sdfleet_cdk.queueing import Queueing
from sdfleet_cdk.region import Region
from sdfleet_cdk.release_parameters import ReleaseParameters
from sdfleet_cdk.storage import Storage, bucket_name
from sdfleet_cdk.topics import Topics


class FoundationStack(cdk.Stack):
    def __init__(self, scope: Construct, construct_id: str, *, config: Config, region: Region) -> None:
        super().__init__(
            scope,
            construct_id,
            env=cdk.Environment(region=region.name),
            description=f"sdfleet: what keeps the state of {config.stack_name}",
        )
        deployment_id = config.stack_name
        storage = Storage(self, "Storage", deployment_id=deployment_id, config=config, region=region)
        queues = Queueing(self, "Queueing", deployment_id=deployment_id, runtimes=config.runtimes)
        Topics(self, "Topics", deployment_id=deployment_id, queues=queues)
        for runtime in config.runtimes:
            ReleaseParameters(
                self, f"{names.camel_case(runtime.name)}Release", deployment_id=deployment_id, runtime=runtime.name
            )
        # Images are built before there is a service that runs them.
        if image_parts(config):
            ImageRepositories(self, "ImageRepositories", config=config)
            ImageBuild(self, "ImageBuild", config=config, source_bucket=bucket_name(deployment_id, "inbox", region))
        if config.has_cdn and storage.output_bucket is not None:
            Delivery(self, "Delivery", config=config, region=region, bucket=storage.output_bucket)
