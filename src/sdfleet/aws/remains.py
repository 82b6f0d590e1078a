"""What a deployment has on an account beside its stacks, for its removal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sdfleet.aws.operator_errors import code_of, explained, is_about_nothing
from sdfleet.errors import DeploymentError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

#: DeleteParameters takes no more names at once (API Reference).
_PARAMETERS_AT_ONCE = 10


def waiting_messages(client: SQSClient, queue_name: str) -> int | None:
    """About how many messages wait in the queue or are worked on; None: there is no such queue."""
    try:
        with explained():
            url = client.get_queue_url(QueueName=queue_name)["QueueUrl"]
            answer = client.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )
    except DeploymentError as error:
        if isinstance(error.__cause__, ClientError) and code_of(error.__cause__).endswith(
            ("NonExistentQueue", "QueueDoesNotExist")
        ):
            return None
        raise
    return sum(int(count) for count in answer["Attributes"].values())


def empty_bucket(client: S3Client, bucket: str) -> int:
    """Delete every object, and every version of it; how many that were. No bucket: none."""
    count = 0
    try:
        with explained():
            for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
                doomed = [
                    {"Key": one["Key"], "VersionId": one["VersionId"]}
                    for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                ]
                if doomed:
                    client.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})  # type: ignore[typeddict-item]
                    count += len(doomed)
    except DeploymentError as error:
        if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "NoSuchBucket":
            return 0
        raise
    return count


def parameters_below(client: SSMClient, path: str) -> list[str]:
    """Names, in order."""
    with explained():
        pages = client.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
        return sorted(one["Name"] for page in pages for one in page["Parameters"])


def delete_parameters(client: SSMClient, names: list[str]) -> None:
    with explained():
        for start in range(0, len(names), _PARAMETERS_AT_ONCE):
            client.delete_parameters(Names=names[start : start + _PARAMETERS_AT_ONCE])


def delete_alarms(client: CloudWatchClient, alarms: Sequence[str]) -> list[str]:
    """Those of them that are there, a hundred at most; which that were."""
    with explained():
        # Not by name alone: versions of the API reference differ in what a name that is not there does to the others.
        pages = client.get_paginator("describe_alarms").paginate(AlarmNames=alarms, AlarmTypes=["MetricAlarm"])
        found = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
        if found:
            try:
                client.delete_alarms(AlarmNames=found)
            except ClientError as error:
                # Somebody was quicker.
                if not is_about_nothing(error):
                    raise
    return found
