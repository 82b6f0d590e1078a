"""The request and result topics on SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class SnsTopic:
    def __init__(self, client: SNSClient, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, body: str, attributes: Mapping[str, str]) -> None:
        with translated():
            self._client.publish(
                TopicArn=self._arn,
                Message=body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
