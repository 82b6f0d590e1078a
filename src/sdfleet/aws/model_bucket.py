"""The model bucket on S3."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.utils import get_environ_proxies

from sdfleet.aws.clients import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, USER_AGENT
from sdfleet.aws.error_mapping import translated
from sdfleet.aws.range_connections import RangeConnections
from sdfleet.errors import ServiceUnavailable
from sdfleet.ports import ModelObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

#: Where the SDK reads: large enough that Python is no brake, small enough that a dozen readers fit in memory.
_CHUNK_BYTES = 1024 * 1024
#: Used at once, if a connection is to be had.
_LINK_SECONDS = 300


class S3ModelBucket:
    """Reads past the SDK's response where nothing stands between us and S3; whatever is not plain, the SDK reads."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._connections = (
            None
            if get_environ_proxies(client.meta.endpoint_url)
            else RangeConnections(connect_timeout_s=CONNECT_TIMEOUT_S, read_timeout_s=READ_TIMEOUT_S)
        )

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

    def read(self, model: ModelObject, *, offset: int, size_bytes: int) -> Iterator[bytes | memoryview]:
        if size_bytes <= 0:
            return
        wanted: GetObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": model.key,
            "IfMatch": model.etag,
            "Range": f"bytes={offset}-{offset + size_bytes - 1}",
        }
        if self._connections is not None:
            with translated(), closing(self._directly(self._connections, wanted, size_bytes)) as chunks:
                try:
                    first = next(chunks)
                except OSError:
                    # An error's status among others, which the SDK knows how to read, or to try again.
                    pass
                else:
                    yield first
                    try:
                        yield from chunks
                    except OSError as error:
                        raise ServiceUnavailable("S3 broke off in the middle of an object; read on.") from error
                    return
        with translated():
            answer = self._client.get_object(**wanted)
            # Closed, whether read to its end or not: a reader may be stopped in the middle.
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(_CHUNK_BYTES)

    def _directly(
        self, connections: RangeConnections, wanted: GetObjectRequestTypeDef, size_bytes: int
    ) -> Generator[memoryview]:
        # Host, path and signature are the SDK's knowledge, and its links tell.
        link = urlsplit(self._client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=_LINK_SECONDS))
        head = (
            f"GET {link.path}?{link.query} HTTP/1.1\r\nhost: {link.netloc}\r\nuser-agent: {USER_AGENT}\r\n"
            f"range: {wanted['Range']}\r\nif-match: {wanted['IfMatch']}\r\n"
        )
        yield from connections.read(link, head, size_bytes)
