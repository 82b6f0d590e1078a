"""The model bucket, in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sdfleet.errors import ObjectNotFound
from sdfleet.ports import ModelObject

#: A day in the past: a file written now is newer than its object, as a real download is.
_UPLOADED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Read:
    key: str
    offset: int
    size_bytes: int


@dataclass
class MemoryModelBucket:
    #: What was read, in order. For assertions: the port has no such thing.
    reads: list[Read] = field(default_factory=list)
    _objects: dict[str, tuple[ModelObject, bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, key: str, data: bytes, *, modified_at: datetime = _UPLOADED_AT) -> ModelObject:
        model = ModelObject(key, len(data), f'"{hashlib.sha256(data).hexdigest()[:32]}"', modified_at)
        with self._lock:
            self._objects[key] = (model, bytes(data))
        return model

    def remove(self, key: str) -> None:
        with self._lock:
            del self._objects[key]

    def objects(self, prefix: str = "") -> list[ModelObject]:
        with self._lock:
            return [self._objects[key][0] for key in sorted(self._objects) if key.startswith(prefix)]

    def read(self, model: ModelObject, *, offset: int, size_bytes: int) -> Iterator[bytes]:
        if size_bytes <= 0:
            return
        with self._lock:
            current, data = self._objects.get(model.key, (None, b""))
            self.reads.append(Read(model.key, offset, size_bytes))
        if current is None or current.etag != model.etag:
            raise ObjectNotFound("There is no such object, or no right to see it.")
        yield data[offset : offset + size_bytes]
