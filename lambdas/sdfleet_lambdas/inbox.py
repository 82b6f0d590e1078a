"""Accepted contents: the small ones are items of the table, the others objects of the inbox bucket (adr/0015)."""

from __future__ import annotations

from sdfleet.domain import names
from sdfleet.domain.content_packing import packed, unpacked
from sdfleet.domain.task import RECORD_LIFETIME, Task
from sdfleet.ports import ArtifactStore, ContentItems


class Inbox:
    """Either place forgets a content when it forgets the record."""

    def __init__(self, items: ContentItems, artifacts: ArtifactStore, bucket: str) -> None:
        self._items = items
        self._artifacts = artifacts
        self._bucket = bucket

    def put(self, task: Task, content: bytes) -> str:
        """Keep the content of the task's run; where it lies, which is for the record. Putting it twice is no error."""
        item = packed(content)
        if item is not None:
            self._items.put(task.id, task.run, item, until=task.created_at + RECORD_LIFETIME)
            return names.CONTENT_IN_TABLE
        location = names.s3_url(self._bucket, names.inbox_key(task.id, task.run))
        self._artifacts.put(location, content, content_type="application/json")
        return location

    def get(self, task: Task, *, max_bytes: int) -> bytes:
        """Raises:
        ObjectNotFound: it is gone.
        PayloadTooLarge: it has more than `max_bytes`.
        """
        if task.content_location == names.CONTENT_IN_TABLE:
            return unpacked(self._items.get(task.id, task.run), max_bytes=max_bytes)
        return self._artifacts.get(task.content_location, max_bytes=max_bytes)
