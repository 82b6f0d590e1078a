"""Objects by `s3://` URL."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

from sdfleet.domain import names
from sdfleet.errors import ObjectNotFound, PayloadTooLarge


@dataclass(frozen=True)
class StoredObject:
    data: bytes = field(repr=False)
    content_type: str


class MemoryArtifactStore:
    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], StoredObject] = {}
        self._lock = threading.Lock()

    def put(self, url: str, data: bytes, *, content_type: str) -> None:
        location = names.parse_s3_url(url)
        with self._lock:
            self._objects[location] = StoredObject(bytes(data), content_type)

    def get(self, url: str, *, max_bytes: int) -> bytes:
        data = self._object(url).data
        if len(data) > max_bytes:
            raise PayloadTooLarge(f"The object has {len(data)} bytes; at most {max_bytes} are taken.")
        return data

    def exists(self, url: str) -> bool:
        location = names.parse_s3_url(url)
        with self._lock:
            return location in self._objects

    def link(self, url: str, *, lifetime: timedelta) -> str:
        """Shaped like S3's; nothing answers there."""
        return f"{_address(url)}?X-Amz-Expires={int(lifetime.total_seconds())}"

    def upload_link(self, url: str, *, content_type: str, size_bytes: int, lifetime: timedelta) -> str:
        """Shaped like S3's; nothing answers there."""
        signed = f"content-type={quote(content_type, safe='')}&content-length={size_bytes}"
        return f"{_address(url)}?X-Amz-Expires={int(lifetime.total_seconds())}&{signed}"

    def content_type(self, url: str) -> str:
        return self._object(url).content_type

    def urls(self) -> list[str]:
        """Every object, sorted. For assertions: the port has no such thing."""
        with self._lock:
            return sorted(names.s3_url(bucket, key) for bucket, key in self._objects)

    def _object(self, url: str) -> StoredObject:
        location = names.parse_s3_url(url)
        with self._lock:
            found = self._objects.get(location)
        if found is None:
            raise ObjectNotFound(f"There is no object at {url}.")
        return found


def _address(url: str) -> str:
    bucket, key = names.parse_s3_url(url)
    return f"https://{bucket}.s3.invalid/{quote(key)}"
