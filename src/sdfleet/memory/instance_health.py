"""Which instances a group has, and which of them it is about to replace."""

from __future__ import annotations

from sdfleet.errors import ServiceUnavailable


class MemoryInstanceHealth:
    def __init__(self, *instance_ids: str) -> None:
        self._instance_ids = set(instance_ids)
        self._unhealthy: set[str] = set()

    def replaces(self, instance_id: str) -> bool:
        return instance_id in self._unhealthy

    def report_unhealthy(self, instance_id: str) -> None:
        if instance_id not in self._instance_ids:
            raise ServiceUnavailable(f"No group has the instance {instance_id}.")
        self._unhealthy.add(instance_id)
