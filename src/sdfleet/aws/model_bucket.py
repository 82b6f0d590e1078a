"""The model bucket on S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated
from sdfleet.ports import ModelObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Large enough that Python is no brake, small enough that a dozen readers fit in a scheduler's memory.
CHUNK_BYTES = 1024 * 1024


class S3ModelBucket:
    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def objects(self, prefix: str = "") -> list[ModelObject]:
        found = []
        with translated():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                found += [
                    ModelObject(entry["Key"], entry["Size"], entry["ETag"], entry["LastModified"])
                    for entry in page.get("Contents", ())
                    if not entry["Key"].endswith("/")
                ]
        return found

    def read(self, model: ModelObject, *, offset: int, size_bytes: int) -> Iterator[bytes]:
        if size_bytes <= 0:
            return
        with translated():
            answer = self._client.get_object(
                Bucket=self._bucket,
                Key=model.key,
                IfMatch=model.etag,
                Range=f"bytes={offset}-{offset + size_bytes - 1}",
            )
            # Closed, whether read to its end or not: a reader may be stopped in the middle.
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(CHUNK_BYTES)
