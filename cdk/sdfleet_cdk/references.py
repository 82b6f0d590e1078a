"""A deployment's shared resources, referred to by their names from the stacks that use them."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet.environment import DeploymentEnvironment, LinkEnvironment, RuntimeEnvironment
from sdfleet_cdk.context import DeploymentContext, FleetQueue
from sdfleet_cdk.delivery import signed_links
from sdfleet_cdk.region import Region
from sdfleet_cdk.storage import DUE_INDEX, bucket_name


def deployment_context(scope: Construct, *, config: Config, region: Region) -> DeploymentContext:
    """What the foundation stack has made, for constructs below `scope` in another stack."""
    references = Construct(scope, "Foundation")
    deployment_id = config.stack_name
    output_bucket = config.outputs.bucket_name or bucket_name(deployment_id, "output", region)
    inbox_bucket = bucket_name(deployment_id, "inbox", region)
    request_topic = _arn(references, "sns", names.request_topic_name(deployment_id))
    result_topic = _arn(references, "sns", names.result_topic_name(deployment_id))
    submissions = _pair(references, "Submissions", names.submission_queue_name(deployment_id))
    fleets = {
        runtime.name: _pair(references, f"{runtime.name}-fleet", names.fleet_name(deployment_id, runtime.name))
        for runtime in config.runtimes
    }
    links = signed_links(references, deployment_id) if config.has_cdn else None
    environment = DeploymentEnvironment(
        deployment_id=deployment_id,
        table_name=names.table_name(deployment_id),
        output_bucket=output_bucket,
        inbox_bucket=inbox_bucket,
        request_topic_arn=request_topic,
        result_topic_arn=result_topic,
        runtimes=tuple(
            RuntimeEnvironment(
                name=runtime.name,
                type=runtime.type,
                queue_url=fleets[runtime.name].queue.queue_url,
                dead_letter_queue_url=fleets[runtime.name].dead_letters.queue_url,
                model_filename=runtime.model_filename,
                dynamic_model=runtime.dynamic_model,
                timeout_s=runtime.task_timeout_s,
                max_attempts=runtime.max_attempts,
            )
            for runtime in config.runtimes
        ),
        model_bucket=config.model_bucket,
        links=LinkEnvironment(links.domain_name, links.key_pair_id, links.private_key_parameter) if links else None,
    )
    return DeploymentContext(
        deployment_id=deployment_id,
        config=config,
        region=region,
        table=dynamodb.Table.from_table_name(references, "Tasks", environment.table_name),
        due_index=DUE_INDEX,
        output_bucket=s3.Bucket.from_bucket_name(references, "Output", output_bucket),
        inbox_bucket=s3.Bucket.from_bucket_name(references, "Inbox", inbox_bucket),
        model_bucket=_model_bucket(references, config),
        request_topic=sns.Topic.from_topic_arn(references, "Requests", request_topic),
        result_topic=sns.Topic.from_topic_arn(references, "Results", result_topic),
        submissions=submissions,
        callbacks=_pair(references, "Callbacks", names.callback_queue_name(deployment_id)),
        fleet_queues=fleets,
        links=links,
        environment=environment,
    )


def _model_bucket(scope: Construct, config: Config) -> s3.IBucket | None:
    return s3.Bucket.from_bucket_name(scope, "Models", config.model_bucket) if config.model_bucket else None


def _pair(scope: Construct, construct_id: str, name: str) -> FleetQueue:
    dead = names.dead_letter_queue_name(name)
    return FleetQueue(
        sqs.Queue.from_queue_arn(scope, construct_id, _arn(scope, "sqs", name)),
        sqs.Queue.from_queue_arn(scope, f"{construct_id}-dead-letters", _arn(scope, "sqs", dead)),
    )


def _arn(scope: Construct, service: str, name: str) -> str:
    return cdk.Stack.of(scope).format_arn(service=service, resource=name)
