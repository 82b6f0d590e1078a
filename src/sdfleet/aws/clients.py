"""The only place that builds boto3 clients.

Region, credentials and endpoints come from where the AWS SDK finds them (`AWS_REGION`, the instance role,
`AWS_ENDPOINT_URL`).
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import boto3
from botocore.config import Config
from botocore.utils import get_environ_proxies

from sdfleet.aws.connections import Connections
from sdfleet.aws.direct_calls import with_direct_calls

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

    from sdfleet.aws.image_builder import ImageBuilderClient

C = TypeVar("C")

#: A new connection inside a region takes milliseconds; the SDK's 60 s are half of a Spot notice.
CONNECT_TIMEOUT_S = 5
#: Above the 20 s of a long poll, below the two minutes of a Spot notice even when a call is repeated.
READ_TIMEOUT_S = 30
#: Calls in all, the first included; longer troubles are the caller's to wait out.
CALL_ATTEMPTS = 3
#: One for each thread: asyncio's own pool has 32 at most.
POOL_CONNECTIONS = 32
USER_AGENT = "sdfleet"

_CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_S,
    read_timeout=READ_TIMEOUT_S,
    retries={"mode": "standard", "total_max_attempts": CALL_ATTEMPTS},
    max_pool_connections=POOL_CONNECTIONS,
    tcp_keepalive=True,
    # Its arguments are our own code's, and the SDK would describe
    # itself anew for every request.
    parameter_validation=False,
    user_agent=USER_AGENT,
)

_NO_CREDENTIALS: dict[str, Any] = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}


class Clients:
    """Each client is built at its first use, which a Lambda's cold start needs.

    The clients are safe in threads. Building one is not (boto3's guide, Multithreading): name them all in the
    composition, before the first thread.
    """

    def __init__(
        self, *, region: str | None = None, endpoint_url: str | None = None, has_credentials: bool = True
    ) -> None:
        """`has_credentials=False`: an endpoint that asks for none; the SDK insists on having some."""
        self._session = boto3.session.Session(region_name=region, **({} if has_credentials else _NO_CREDENTIALS))
        self._endpoint_url = endpoint_url
        self._connections = Connections(connect_timeout_s=CONNECT_TIMEOUT_S, read_timeout_s=READ_TIMEOUT_S)

    @cached_property
    def sqs(self) -> SQSClient:
        return self._direct(self._session.client("sqs", endpoint_url=self._endpoint_url, config=_CONFIG))

    @cached_property
    def sns(self) -> SNSClient:
        return self._direct(self._session.client("sns", endpoint_url=self._endpoint_url, config=_CONFIG))

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        return self._direct(self._session.client("dynamodb", endpoint_url=self._endpoint_url, config=_CONFIG))

    @cached_property
    def ssm(self) -> SSMClient:
        return self._session.client("ssm", endpoint_url=self._endpoint_url, config=_CONFIG)

    @property
    def region(self) -> str | None:
        """Where the calls go; None: neither the caller nor the environment nor the profile names a region."""
        return self._session.region_name

    @cached_property
    def autoscaling(self) -> AutoScalingClient:
        return self._session.client("autoscaling", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def events(self) -> EventBridgeClient:
        return self._session.client("events", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def s3(self) -> S3Client:
        has_own_endpoint = self._endpoint_url or os.environ.get(
            "AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL")
        )
        config = Config(
            # Presigned links are SigV2 by default in the older regions, which takes no signed length.
            signature_version="s3v4",
            # Path style where bucket names do not resolve. On AWS `virtual`: else a presigned link names the global
            # endpoint, which redirects for a young bucket, and a redirected PUT fails.
            s3={
                "addressing_style": "path" if has_own_endpoint else "virtual",
                "us_east_1_regional_endpoint": "regional",
            },
            # Else a presigned PUT demands a checksum that browsers and curl do not send.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return self._direct(self._session.client("s3", endpoint_url=self._endpoint_url, config=_CONFIG.merge(config)))

    def _direct(self, client: C) -> C:
        """`client`, its frequent calls made the short way where nothing stands between us and AWS."""
        credentials = self._session.get_credentials()
        url: str = getattr(client, "meta").endpoint_url  # noqa: B009  no protocol is common to the typed clients
        if credentials is None or get_environ_proxies(url):
            return client
        return with_direct_calls(client, credentials, self._connections, user_agent=USER_AGENT)

    # What the deployment's commands need beside that.

    @cached_property
    def apigateway(self) -> APIGatewayClient:
        return self._session.client("apigateway", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        return self._session.client("cloudformation", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        return self._session.client("cloudwatch", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def codebuild(self) -> CodeBuildClient:
        return self._session.client("codebuild", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def imagebuilder(self) -> ImageBuilderClient:
        client: Any = self._session.client("imagebuilder", endpoint_url=self._endpoint_url, config=_CONFIG)
        return cast("ImageBuilderClient", client)

    @cached_property
    def ec2(self) -> EC2Client:
        return self._session.client("ec2", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def ecr(self) -> ECRClient:
        return self._session.client("ecr", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def lambda_(self) -> LambdaClient:
        return self._session.client("lambda", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def logs(self) -> Any:
        return self._session.client("logs", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def service_quotas(self) -> ServiceQuotasClient:
        return self._session.client("service-quotas", endpoint_url=self._endpoint_url, config=_CONFIG)

    @cached_property
    def sts(self) -> STSClient:
        return self._session.client("sts", endpoint_url=self._endpoint_url, config=_CONFIG)
