"""Creates the deployment's resources in the embedded endpoint: what the CDK stacks are to the cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sdfleet.aws.clients import Clients
from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.aws.rollout_group import BASE_VERSION
from sdfleet.aws.task_table import table_definition
from sdfleet.domain import names
from sdfleet.domain.callback import MAX_TRIES
from sdfleet.domain.release import Release
from sdfleet.domain.trial import LIMITS_PARAMETER, TrialLimits
from sdfleet.domain.wire.callbacks import FILTER_POLICY
from sdfleet.environment import DeploymentEnvironment, RuntimeEnvironment
from sdfleet_local.plan import DEPLOYMENT_ID, RELEASE, PlannedRuntime

#: SQS's longest; longer than any outage (architecture section 3).
RETENTION = timedelta(days=14)
#: A backstop only: attempts are counted in the task's record, and drains must not end in the dead-letter queue.
MAX_RECEIVE_COUNT = 100

#: The configuration's defaults: percent of a trial's runs, and messages that it cannot read.
_MOST_FAILURES, _MOST_DEAD_LETTERS = 10, 1

#: A launch template has one; what runs here is the release's own code.
_IMAGE_ID = "ami-10ca1000000000000"

#: Messages of ours, accepted and recorded. All others go to the submission handler first.
_ACCEPTED = {"accepted": ["1"]}
_NOT_ACCEPTED = {"accepted": [{"exists": False}]}


@dataclass(frozen=True)
class QueueAddress:
    url: str
    arn: str


@dataclass(frozen=True)
class Resources:
    """What was made."""

    deployment: DeploymentEnvironment
    submissions: QueueAddress
    callbacks: QueueAddress
    #: To the recorder of rollouts; EventBridge's rule in the cloud.
    rollout_events: QueueAddress
    #: To the fast scaler; its topic's subscription is the function itself in the cloud.
    wakes: QueueAddress
    wake_topic_arn: str


def provision(clients: Clients, runtimes: Sequence[PlannedRuntime], *, model_bucket: str | None) -> Resources:
    """Raises:
    botocore's errors: the endpoint does not do what it is for; nothing here can mend that.
    """
    request_topic = clients.sns.create_topic(Name=names.request_topic_name(DEPLOYMENT_ID))["TopicArn"]
    result_topic = clients.sns.create_topic(Name=names.result_topic_name(DEPLOYMENT_ID))["TopicArn"]
    environments = []
    for runtime in runtimes:
        queue, dead_letters = _queue_pair(clients, names.fleet_name(DEPLOYMENT_ID, runtime.name))
        _subscribe(clients, request_topic, queue, {**_ACCEPTED, "runtime": [runtime.name]}, is_raw=True)
        environments.append(_runtime_environment(runtime, queue, dead_letters))
    submissions, _ = _queue_pair(clients, names.submission_queue_name(DEPLOYMENT_ID))
    # In its envelope: the message's attributes choose the runtime of a v1alpha1 sender.
    _subscribe(clients, request_topic, submissions, _NOT_ACCEPTED, is_raw=False)
    callbacks, _ = _queue_pair(clients, names.callback_queue_name(DEPLOYMENT_ID), max_receive_count=MAX_TRIES)
    # In its envelope: the attributes hold the address.
    _subscribe(clients, result_topic, callbacks, FILTER_POLICY, is_raw=False)

    rollout_events, _ = _queue_pair(clients, f"{DEPLOYMENT_ID}-rollout-events")
    wake_topic = clients.sns.create_topic(Name=names.wake_topic_name(DEPLOYMENT_ID))["TopicArn"]
    wakes, _ = _queue_pair(clients, names.wake_topic_name(DEPLOYMENT_ID))
    _subscribe(clients, wake_topic, wakes, {}, is_raw=True)

    table_name = names.table_name(DEPLOYMENT_ID)
    clients.dynamodb.create_table(**table_definition(table_name))
    output_bucket, inbox_bucket = f"sdfleet-{DEPLOYMENT_ID}-output", f"sdfleet-{DEPLOYMENT_ID}-inbox"
    for bucket in filter(None, (output_bucket, inbox_bucket, model_bucket)):
        clients.s3.create_bucket(Bucket=bucket)
    if model_bucket is not None:
        _list_models(clients, model_bucket, runtimes)
    deployment = DeploymentEnvironment(
        deployment_id=DEPLOYMENT_ID,
        table_name=table_name,
        output_bucket=output_bucket,
        inbox_bucket=inbox_bucket,
        request_topic_arn=request_topic,
        result_topic_arn=result_topic,
        runtimes=tuple(environments),
        model_bucket=model_bucket,
    )
    return Resources(deployment, submissions, callbacks, rollout_events, wakes, wake_topic)


def launch_template(clients: Clients, runtime: str) -> dict[str, Any]:
    """What a fleet's group launches at first, as CreateAutoScalingGroup takes it: a mixed policy, as in the cloud."""
    name = names.fleet_name(DEPLOYMENT_ID, runtime)
    tags: Any = [{"Key": "Name", "Value": name}, {"Key": names.RELEASE_TAG, "Value": RELEASE}]
    try:
        clients.ec2.create_launch_template(
            LaunchTemplateName=name,
            VersionDescription=BASE_VERSION,
            LaunchTemplateData={
                "ImageId": _IMAGE_ID,
                "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
            },
        )
    except clients.ec2.exceptions.ClientError as error:
        # The endpoint's first EC2 call takes seconds; the SDK's second try of it finds what the first has made.
        if "AlreadyExists" not in str(error):
            raise
    made = clients.ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"][0]
    specification = {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "1"}
    return {
        "MixedInstancesPolicy": {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": specification,
                "Overrides": [{"InstanceType": "local"}],
            },
            "InstancesDistribution": {
                "OnDemandBaseCapacity": "0",
                "OnDemandPercentageAboveBaseCapacity": "0",
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        }
    }


def publish_release(clients: Clients, runtimes: Sequence[PlannedRuntime], *, now: datetime) -> None:
    """The release that every instance runs at first: its record, to which a rollout can return, and its public face;
    and what a rollout from it is measured by.
    """
    releases = SsmReleaseStore(clients.ssm, DEPLOYMENT_ID)
    topic = clients.sns.create_topic(Name=names.alarm_topic_name(DEPLOYMENT_ID))["TopicArn"]
    limits = TrialLimits(topic, failure_percentage=_MOST_FAILURES, dead_letters=_MOST_DEAD_LETTERS)
    first = Release(RELEASE, now, created_by="local mode", scheduler_image="what it was deployed with")
    for runtime in runtimes:
        releases.create(runtime.name, f"releases/{RELEASE}", json.dumps(first.to_json()))
        releases.write(runtime.name, "image-version", RELEASE)
        releases.write(runtime.name, "previous-version", names.NO_RELEASE)
        releases.write(runtime.name, "launch-template-version", "1")
        releases.write(runtime.name, "deployment-status", "stable")
        releases.write(runtime.name, LIMITS_PARAMETER, limits.to_json())


def _queue_pair(
    clients: Clients, name: str, *, max_receive_count: int = MAX_RECEIVE_COUNT
) -> tuple[QueueAddress, QueueAddress]:
    """The queue and its dead-letter queue."""
    dead_letters = _queue(clients, names.dead_letter_queue_name(name))
    redrive = json.dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": max_receive_count})
    return _queue(clients, name, RedrivePolicy=redrive), dead_letters


def _queue(clients: Clients, name: str, **attributes: str) -> QueueAddress:
    attributes["MessageRetentionPeriod"] = str(int(RETENTION.total_seconds()))
    url = clients.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]
    arn = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return QueueAddress(url, arn)


def _subscribe(
    clients: Clients, topic_arn: str, queue: QueueAddress, policy: Mapping[str, object], *, is_raw: bool
) -> None:
    clients.sns.subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=queue.arn,
        Attributes={"FilterPolicy": json.dumps(policy), "RawMessageDelivery": str(is_raw).lower()},
    )


def _runtime_environment(
    runtime: PlannedRuntime, queue: QueueAddress, dead_letters: QueueAddress
) -> RuntimeEnvironment:
    return RuntimeEnvironment(
        name=runtime.name,
        type=runtime.type,
        queue_url=queue.url,
        dead_letter_queue_url=dead_letters.url,
        model_filename=runtime.model_filename,
        dynamic_model=runtime.dynamic_model,
        timeout_s=runtime.timeout_s,
        max_attempts=runtime.max_attempts,
    )


def _list_models(clients: Clients, bucket: str, runtimes: Sequence[PlannedRuntime]) -> None:
    # Acceptance looks for a model's object, never into it.
    for filename in {runtime.model_filename for runtime in runtimes if runtime.model_filename}:
        clients.s3.put_object(Bucket=bucket, Key=f"{names.CHECKPOINT_PREFIX}{filename}", Body=b"")
