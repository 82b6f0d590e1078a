"""What container images are made of, put where a build on the account reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class BuildSources:
    """Every call may raise DeploymentError."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, archive: bytes) -> str:
        """Its location, in CodeBuild's words: `bucket/key`."""
        with explained():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=archive, ContentType="application/zip")
        return f"{self._bucket}/{key}"
