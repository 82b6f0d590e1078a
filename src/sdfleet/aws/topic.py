"""The request and result topics on SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import PublishInputTypeDef


class SnsTopic:
    def __init__(self, client: SNSClient, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, body: str, attributes: Mapping[str, str], *, group: str | None = None) -> None:
        call: PublishInputTypeDef = {
            "TopicArn": self._arn,
            "Message": body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        }
        if group is not None:
            # A standard topic takes it and hands it to standard queues only, for their fairness (API Reference,
            # Publish). [V] in botocore's model; never tried on a live account.
            call["MessageGroupId"] = group
        with translated():
            self._client.publish(**call)
