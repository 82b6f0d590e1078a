"""The groups of a deployment: finds the one that an instance, or a name, belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sdfleet.errors import LocalModeError
from sdfleet_local.group import LocalGroup
from sdfleet_local.instance import Instance, InstanceDescription


class Groups:
    """Empty until the supervisor has built them; its control port and the endpoint's front are open before."""

    def __init__(self) -> None:
        self._groups: tuple[LocalGroup, ...] = ()

    def __iter__(self) -> Iterator[LocalGroup]:
        return iter(self._groups)

    def add(self, *groups: LocalGroup) -> None:
        self._groups += groups

    def tick(self) -> bool:
        """Whether anything changed."""
        # Every group has its turn.
        return True in [group.tick() for group in self._groups]

    def instances(self) -> list[Instance]:
        return [instance for group in self._groups for instance in group.instances()]

    def describe(self) -> list[InstanceDescription]:
        return [description for group in self._groups for description in group.describe()]

    def named(self, name: str) -> LocalGroup | None:
        return next((group for group in self._groups if group.name == name), None)

    def of(self, instance_id: str) -> LocalGroup:
        """Raises:
        LocalModeError: no group has such an instance.
        """
        for group in self._groups:
            if group.has(instance_id):
                return group
        raise LocalModeError(f"There is no instance {instance_id}; `sdfleet local instances` lists them.")

    # What the command line asks for; each raises LocalModeError for an unknown instance.

    def interrupt(self, instance_id: str) -> datetime:
        return self.of(instance_id).interrupt(instance_id)

    def recommend_rebalance(self, instance_id: str) -> None:
        self.of(instance_id).recommend_rebalance(instance_id)

    def terminate(self, instance_id: str) -> None:
        self.of(instance_id).terminate(instance_id)

    def drain(self, instance_id: str) -> None:
        self.of(instance_id).drain(instance_id)
