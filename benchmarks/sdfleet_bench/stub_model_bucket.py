"""`python -m sdfleet_bench.stub_model_bucket`: S3 with synthetic models, as far as reading a model bucket goes."""

from __future__ import annotations

import asyncio
import random
import re
from http import HTTPStatus
from urllib.parse import unquote

import click

from sdfleet_bench.loopback_http import StubAnswer, StubRequest, serve

#: Weights do not compress, and are no zeros that a file system could leave out.
_BLOCK = random.Random(0).randbytes(1024 * 1024)
_ETAG = '"0123456789abcdef0123456789abcdef"'
_MODIFIED = "2026-01-01T00:00:00.000Z"
_MODIFIED_HEADER = "Thu, 01 Jan 2026 00:00:00 GMT"
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class StubModelBucket:
    def __init__(self, sizes: dict[str, int]) -> None:
        """Bytes by key."""
        self._sizes = sizes

    async def answer(self, request: StubRequest) -> StubAnswer:
        _, _, key = unquote(request.path).lstrip("/").partition("/")
        if not key:
            return StubAnswer(body=self._listing().encode(), content_type="application/xml")
        if key not in self._sizes:
            return StubAnswer(HTTPStatus.NOT_FOUND)
        if request.method == "HEAD":
            described = {"etag": _ETAG, "accept-ranges": "bytes", "last-modified": _MODIFIED_HEADER}
            return StubAnswer(content_type="binary/octet-stream", headers=described, length=self._sizes[key])
        match = _RANGE.fullmatch(request.headers.get("range", ""))
        end = self._sizes[key] - 1
        # A range may end after its object.
        first, last = (int(match[1]), min(int(match[2]), end)) if match else (0, end)
        headers = {"etag": _ETAG, "content-range": f"bytes {first}-{last}/{self._sizes[key]}"}
        return StubAnswer(HTTPStatus.PARTIAL_CONTENT, content(first, last - first + 1), "binary/octet-stream", headers)

    def _listing(self) -> str:
        entries = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{_MODIFIED}</LastModified><ETag>{_ETAG}</ETag>"
            f"<Size>{size}</Size></Contents>"
            for key, size in self._sizes.items()
        )
        return (
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>false</IsTruncated><KeyCount>{len(self._sizes)}</KeyCount>{entries}</ListBucketResult>"
        )


def content(first: int, size_bytes: int) -> bytes:
    """Of every model, from its byte `first` on."""
    start = first % len(_BLOCK)
    return (_BLOCK * ((start + size_bytes) // len(_BLOCK) + 1))[start : start + size_bytes]


@click.command()
@click.argument("models", nargs=-1, metavar="KEY=BYTES...")
def main(models: tuple[str, ...]) -> None:
    sizes = {key: int(size) for key, _, size in (model.rpartition("=") for model in models)}
    asyncio.run(serve(StubModelBucket(sizes).answer))


if __name__ == "__main__":
    main()
