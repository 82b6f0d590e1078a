"""Objects on S3."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sdfleet.aws.error_mapping import translated
from sdfleet.domain import names
from sdfleet.errors import ObjectNotFound, PayloadTooLarge

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class BucketLinks(Protocol):
    """Links to one bucket's objects that are not S3's."""

    @property
    def bucket(self) -> str: ...

    def link(self, key: str, *, lifetime: timedelta) -> str: ...


class S3ArtifactStore:
    def __init__(self, client: S3Client, *, links: BucketLinks | None = None) -> None:
        self._client = client
        self._links = links

    def put(self, url: str, data: bytes, *, content_type: str) -> None:
        bucket, key = names.parse_s3_url(url)
        with translated():
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)

    def get(self, url: str, *, max_bytes: int) -> bytes:
        bucket, key = names.parse_s3_url(url)
        with translated():
            answer = self._client.get_object(Bucket=bucket, Key=key)
            # HTTP ends the body at its announced length: what passes here is all that can be read.
            size_bytes = answer["ContentLength"]
            if size_bytes > max_bytes:
                # Closed unread, so the connection goes too; better than to drain gigabytes for its reuse.
                answer["Body"].close()
                raise PayloadTooLarge(f"The object has {size_bytes} bytes; at most {max_bytes} are taken.")
            with answer["Body"] as body:
                return body.read()

    def exists(self, url: str) -> bool:
        bucket, key = names.parse_s3_url(url)
        try:
            with translated():
                self._client.head_object(Bucket=bucket, Key=key)
        except ObjectNotFound:
            return False
        return True

    def link(self, url: str, *, lifetime: timedelta) -> str:
        bucket, key = names.parse_s3_url(url)
        if self._links is not None and bucket == self._links.bucket:
            return self._links.link(key, lifetime=lifetime)
        with translated():
            return self._client.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=int(lifetime.total_seconds())
            )

    def upload_link(self, url: str, *, content_type: str, size_bytes: int, lifetime: timedelta) -> str:
        bucket, key = names.parse_s3_url(url)
        with translated():
            return self._client.generate_presigned_url(
                "put_object",
                Params={"Bucket": bucket, "Key": key, "ContentType": content_type, "ContentLength": size_bytes},
                ExpiresIn=int(lifetime.total_seconds()),
            )
