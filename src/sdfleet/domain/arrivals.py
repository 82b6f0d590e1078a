"""How many tasks a second keep coming, from what the queue shows at each look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

#: A minute's memory: a burst of seconds does not make a rush hour.
MEMORY_S = 60.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    #: When this was reckoned, and how many tasks waited or ran then.
    at: datetime
    backlog: int
    #: Tasks a second, smoothed.
    per_s: float = 0.0

    def seen(self, backlog: int, *, done_per_s: float, at: datetime) -> Arrivals:
        """After another look. `done_per_s`: what the instances at work get done."""
        elapsed_s = (at - self.at).total_seconds()
        if elapsed_s <= 0:
            return self
        arrived_per_s = max(0.0, (backlog - self.backlog) / elapsed_s + done_per_s)
        weight = -math.expm1(-elapsed_s / MEMORY_S)
        return Arrivals(at, backlog, self.per_s + weight * (arrived_per_s - self.per_s))

    @property
    def sure_per_s(self) -> float:
        """Less two standard deviations of a count: three requests at night are no trend."""
        count = self.per_s * MEMORY_S
        return max(0.0, count - 2 * math.sqrt(count)) / MEMORY_S
