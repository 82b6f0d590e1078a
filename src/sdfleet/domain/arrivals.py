"""How many tasks a second keep coming, from what the queue shows at each look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from statistics import median

#: Looks that must agree, half a minute's. A batch that comes at once is in one of them and makes no trend; a rush
#: hour is in all of them.
LOOKS = 7
#: What they span.
SPAN_S = 35.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    #: When this was reckoned, and how many tasks waited or ran then.
    at: datetime
    backlog: int
    #: Tasks a second, of each of the last looks.
    rates: tuple[float, ...] = ()

    def seen(self, backlog: int, *, done_per_s: float, at: datetime) -> Arrivals:
        """After another look. `done_per_s`: what the instances at work get done."""
        elapsed_s = (at - self.at).total_seconds()
        if elapsed_s <= 0:
            return self
        rate = max(0.0, (backlog - self.backlog) / elapsed_s + done_per_s)
        return Arrivals(at, backlog, (*self.rates[1 - LOOKS :], rate))

    @property
    def sure_per_s(self) -> float:
        """What half of the last looks have shown or more, less two standard deviations of such a count: what a few
        instances are reckoned to get done is a guess.
        """
        if len(self.rates) < LOOKS:
            return 0.0
        count = median(self.rates) * SPAN_S
        return max(0.0, count - 2 * math.sqrt(count)) / SPAN_S
