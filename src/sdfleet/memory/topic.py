"""A topic that delivers to queues by filter policy, as SNS does with raw delivery."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sdfleet.ports import TaskQueue

#: An SNS filter policy, the part of it that we use: for each attribute the values it may have,
#: or `{"exists": False}` for an attribute that must be absent.
FilterPolicy = Mapping[str, Sequence[str | Mapping[str, bool]]]


@dataclass(frozen=True)
class Publication:
    body: str
    attributes: dict[str, str]
    group: str | None = None


class MemoryTopic:
    def __init__(self) -> None:
        self._published: list[Publication] = []
        self._subscriptions: list[tuple[TaskQueue, FilterPolicy]] = []
        self._lock = threading.Lock()

    def publish(self, body: str, attributes: Mapping[str, str], *, group: str | None = None) -> None:
        with self._lock:
            self._published.append(Publication(body, dict(attributes), group))
            receivers = [queue for queue, policy in self._subscriptions if _takes(policy, attributes)]
        for queue in receivers:
            queue.send(body, group=group)

    def subscribe(self, queue: TaskQueue, policy: FilterPolicy | None = None) -> None:
        """Deliver the bodies whose attributes `policy` takes (None: all) to `queue`."""
        with self._lock:
            self._subscriptions.append((queue, policy or {}))

    @property
    def published(self) -> list[Publication]:
        """Everything that was published, oldest first."""
        with self._lock:
            return list(self._published)


def _takes(policy: FilterPolicy, attributes: Mapping[str, str]) -> bool:
    return all(
        any(_matches(condition, attributes.get(name)) for condition in conditions)
        for name, conditions in policy.items()
    )


def _matches(condition: str | Mapping[str, bool], value: str | None) -> bool:
    if isinstance(condition, str):
        return condition == value
    return condition["exists"] is (value is not None)
