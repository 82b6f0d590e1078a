"""Large objects of the embedded endpoint: moto reads the whole object into memory for each range of it.

Eight ranges of a checkpoint would be eight readings of it, and eight times its size in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moto.s3.models import FakeKey

#: Large enough that Python is no brake, small enough that the processor's cache holds it from the file to the socket.
_CHUNK_BYTES = 256 * 1024


class StoredBytes:
    """Bytes of an object that are read while they are sent; of `bytes` it has what moto and werkzeug use of an answer.

    Whoever began to read an object goes on with it when it is replaced or deleted, as on S3.
    """

    def __init__(self, key: FakeKey, span: range) -> None:
        self._key = key
        self._span = span

    def __len__(self) -> int:
        return len(self._span)

    def __getitem__(self, wanted: slice) -> StoredBytes:
        return StoredBytes(self._key, self._span[wanted])

    def __iter__(self) -> Iterator[bytes]:
        # A temporary file that lies in memory as long as it has few megabytes.
        stored: Any = self._key._value_buffer  # noqa: SLF001  moto has no other way to a part of it
        with self._key.lock:
            if not stored._rolled:  # noqa: SLF001  to ask for its file would make it one
                stored.seek(self._span.start)
                small: bytes = stored.read(len(self))
                large = None
            else:
                stored.flush()
                large = os.dup(stored.fileno())
        if large is None:
            yield small
            return
        try:
            for first in range(self._span.start, self._span.stop, _CHUNK_BYTES):
                yield os.pread(large, min(_CHUNK_BYTES, self._span.stop - first), first)
        finally:
            os.close(large)


class _ReadWhenSent:
    """A key of moto's whose content is not read before it is sent."""

    def __init__(self, key: FakeKey) -> None:
        self._key = key

    @property
    def value(self) -> StoredBytes:
        return StoredBytes(self._key, range(self._key.size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)


def read_objects_as_they_are_sent() -> None:
    """From now on moto answers GET for an object, or for a range of one, without taking all of it into memory."""
    from moto.s3.responses import S3Response

    get_object = S3Response.get_object

    def get_object_later(self: Any) -> Any:
        found_by_moto = self._get_key

        def found() -> tuple[_ReadWhenSent, bool]:
            key, is_unchanged = found_by_moto()
            return _ReadWhenSent(key), is_unchanged

        # An instance is one request's.
        self._get_key = found
        return get_object(self)

    S3Response.get_object = get_object_later  # type: ignore[method-assign]
