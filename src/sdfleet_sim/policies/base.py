"""What a policy is to the simulation."""

from __future__ import annotations

from typing import Protocol


class Policy(Protocol):
    def start(self) -> None:
        """Puts its first look into the fleet's events."""

    @property
    def is_settled(self) -> bool:
        """Nothing is left that it would do without a further task."""
