"""What the parts of a deployment know of each other: the shared resources, and what its processes are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from sdfleet.config import Config
from sdfleet.environment import DeploymentEnvironment
from sdfleet_cdk.region import Region


@dataclass(frozen=True)
class FleetQueue:
    """A queue's messages, and those that were received too often."""

    queue: sqs.IQueue
    dead_letters: sqs.IQueue


@dataclass(frozen=True)
class SignedLinks:
    """Links through the CDN instead of presigned S3 links."""

    domain_name: str
    #: CloudFront's id of the public key.
    key_pair_id: str
    #: SSM path of the private key, a SecureString; whoever signs reads it.
    private_key_parameter: str


@dataclass(frozen=True)
class DeploymentContext:
    """One deployment, as every construct sees it.

    The resources are references by name: the stack that uses one does not import it from the stack that owns it, so
    that a runtime can leave the configuration (CloudFormation refuses to remove an export that is in use).
    """

    deployment_id: str
    config: Config
    region: Region
    table: dynamodb.ITable
    #: Name of the table's index of due tasks.
    due_index: str
    output_bucket: s3.IBucket
    #: Contents, uploads and dead letters.
    inbox_bucket: s3.IBucket
    #: None: no models are looked up or fetched.
    model_bucket: s3.IBucket | None
    request_topic: sns.ITopic
    result_topic: sns.ITopic
    #: What came to the request topic unaccepted.
    submissions: FleetQueue
    #: Notices to post.
    callbacks: FleetQueue
    #: By the runtime's name.
    fleet_queues: Mapping[str, FleetQueue]
    #: None: links are presigned S3 links.
    links: SignedLinks | None
    #: What every process is told: `environment.to_env()`. Its values hold CDK tokens; put them into a template as is.
    environment: DeploymentEnvironment
