"""One instance, from the order to its end."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Purchase(StrEnum):
    SPOT = "spot"
    ON_DEMAND = "on-demand"


class State(IntEnum):
    COMING = 0
    IDLE = 1
    BUSY = 2
    #: Ends its task, and takes no other.
    LEAVING = 3
    GONE = 4


class Instance:
    """Written by the simulation only. A plain class with slots: there is one event a task, a million of them."""

    __slots__ = (
        "began_at",
        "billed_from",
        "busy_s",
        "ended_at",
        "idle_since",
        "idle_slot",
        "instance_id",
        "instance_type",
        "is_new_release",
        "ordered_at",
        "pace",
        "purchase",
        "ready_at",
        "state",
        "task",
        "turn",
        "zone",
    )

    def __init__(
        self,
        number: int,
        *,
        instance_type: str,
        pace: float,
        purchase: Purchase,
        zone: int,
        ordered_at: float,
        is_new_release: bool,
    ) -> None:
        self.instance_id = f"i-{number:06d}"
        self.instance_type = instance_type
        #: Seconds of a task here over seconds on the reference machine.
        self.pace = pace
        self.purchase = purchase
        #: Of the market; -1: On-Demand, wherever there is room.
        self.zone = zone
        self.ordered_at = ordered_at
        self.is_new_release = is_new_release
        self.billed_from = ordered_at
        self.ready_at = -1.0
        self.ended_at = -1.0
        self.state = State.COMING
        self.task = -1
        self.began_at = 0.0
        #: Of the task in hand; an event of an older turn is void.
        self.turn = 0
        self.idle_since = 0.0
        self.idle_slot = -1
        self.busy_s = 0.0

    @property
    def is_there(self) -> bool:
        """Counts for the group: not on its way out."""
        return self.state < State.LEAVING
