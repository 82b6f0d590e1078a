"""Puts large model files into the model bucket: in parts, so that an interrupted one goes on where it was."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sdfleet.aws.operator_errors import code_of, explained, is_about_nothing
from sdfleet.errors import DeploymentError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: S3 takes 10,000 parts of 5 MiB to 5 GiB: enough for 640 GB; little is lost with one, and two fit in memory.
PART_BYTES = 64 * 1024 * 1024
MAX_PARTS = 10_000
#: What a broken-off upload costs ends by itself.
ABANDONED_UPLOAD_DAYS = 7


@dataclass
class OpenUpload:
    key: str
    upload_id: str
    #: Parts that the bucket has, by number from 1: their ETags.
    etags: dict[int, str] = field(default_factory=dict)


class ModelUploads:
    """Every call may raise DeploymentError."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def size_of(self, key: str) -> int | None:
        """None: no such object."""
        try:
            with explained():
                return self._client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        except DeploymentError as error:
            if isinstance(error.__cause__, ClientError) and is_about_nothing(error.__cause__):
                return None
            raise

    def resume_or_begin(self, key: str) -> OpenUpload:
        """The newest upload of that key that was broken off, else a new one."""
        with explained():
            answer = self._client.list_multipart_uploads(Bucket=self.bucket, Prefix=key)
            begun = [one for one in answer.get("Uploads", ()) if one["Key"] == key]
            if not begun:
                made = self._client.create_multipart_upload(Bucket=self.bucket, Key=key)
                return OpenUpload(key, made["UploadId"])
            newest = max(begun, key=lambda one: one["Initiated"])
            upload = OpenUpload(key, newest["UploadId"])
            pages = self._client.get_paginator("list_parts").paginate(
                Bucket=self.bucket, Key=key, UploadId=upload.upload_id
            )
            for page in pages:
                upload.etags |= {part["PartNumber"]: part["ETag"] for part in page.get("Parts", ())}
        return upload

    def put_part(self, upload: OpenUpload, number: int, content: bytes) -> bool:
        """False: the bucket had this part already, with this content."""
        if number > MAX_PARTS:
            raise DeploymentError(f"{upload.key} is larger than {MAX_PARTS * PART_BYTES // 1024**3} GiB; split it.")
        digest = hashlib.md5(content, usedforsecurity=False)
        # The ETag of a part is its MD5, unless the bucket encrypts with a key of KMS: then the part goes again.
        if upload.etags.get(number, "").strip('"') == digest.hexdigest():
            return False
        with explained():
            answer = self._client.upload_part(
                Bucket=self.bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=content,
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            )
        upload.etags[number] = answer["ETag"]
        return True

    def complete(self, upload: OpenUpload, *, part_count: int) -> None:
        parts = [{"PartNumber": number, "ETag": upload.etags[number]} for number in range(1, part_count + 1)]
        with explained():
            self._client.complete_multipart_upload(
                Bucket=self.bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
            )

    def abort(self, upload: OpenUpload) -> None:
        with explained():
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=upload.key, UploadId=upload.upload_id)

    def put_empty(self, key: str) -> None:
        """An object without content, which no multipart upload can be."""
        with explained():
            self._client.put_object(Bucket=self.bucket, Key=key, Body=b"")


def bucket_region(client: S3Client, bucket: str) -> str | None:
    """Where the bucket is; None: there is none.

    Raises:
        DeploymentError: it is there, but not ours to read.
    """
    try:
        with explained():
            answer = client.head_bucket(Bucket=bucket)
    except DeploymentError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and code_of(cause) in ("404", "NoSuchBucket"):
            return None
        # In another region than the client's.
        if isinstance(cause, ClientError) and code_of(cause) in ("301", "PermanentRedirect"):
            headers = cause.response["ResponseMetadata"]["HTTPHeaders"]
            return str(headers.get("x-amz-bucket-region", "another region"))
        if isinstance(cause, ClientError) and code_of(cause) in ("403", "AccessDenied"):
            raise DeploymentError(
                f"The bucket {bucket} is not yours to read; name another, or have its owner allow it."
            ) from error
        raise
    region = answer.get("BucketRegion") or answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    return region or client.meta.region_name


def create_private_bucket(client: S3Client, bucket: str, *, partition: str) -> None:
    """An encrypted bucket (S3's own default) that nobody else and no plain HTTP reaches."""
    region = client.meta.region_name
    with explained():
        if region == "us-east-1":
            client.create_bucket(Bucket=bucket)
        else:
            client.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )
        client.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
        client.put_bucket_lifecycle_configuration(
            Bucket=bucket,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "abandoned-uploads",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABANDONED_UPLOAD_DAYS},
                    }
                ]
            },
        )
        # An embedded endpoint speaks plain HTTP: the policy would lock us out.
        if client.meta.endpoint_url.startswith("https://"):
            client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(_tls_only(bucket, partition)))


def _tls_only(bucket: str, partition: str) -> dict[str, object]:
    arn = f"arn:{partition}:s3:::{bucket}"
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        # Everything is denied to whoever comes without TLS.
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
