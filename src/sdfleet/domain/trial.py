"""What a release on trial is measured by: its own runs, beside those of the rest of its fleet."""

from __future__ import annotations

from dataclasses import dataclass

#: One failure of two runs is no rate.
FEWEST_RUNS = 5
#: But so many are: after them an instance stops receiving, and its release would have no more runs to be measured by.
FEWEST_FAILURES = 3
#: A release fails more than the one before it if it fails at this many times its rate: what their callers do wrong
#: meets both alike.
TIMES_THE_REST = 2

#: `failure_percentage` as CloudWatch's metric math, over runs of the trial and of the whole fleet.
FAILURE_FORMULA = (
    f"IF(((FILL(good, 0) + FILL(bad, 0)) >= {FEWEST_RUNS} OR FILL(bad, 0) >= {FEWEST_FAILURES}) AND "
    "FILL(bad, 0) * (FILL(allgood, 0) + FILL(allbad, 0) - FILL(good, 0) - FILL(bad, 0)) >= "
    f"{TIMES_THE_REST} * (FILL(allbad, 0) - FILL(bad, 0)) * (FILL(good, 0) + FILL(bad, 0)), "
    "100 * FILL(bad, 0) / (FILL(good, 0) + FILL(bad, 0)), 0)"
)


@dataclass(frozen=True)
class Runs:
    """Of tasks on one release."""

    #: That made their pictures.
    good: int = 0
    #: That failed, or could not be begun, whatever became of their tasks.
    bad: int = 0

    @property
    def count(self) -> int:
        return self.good + self.bad


def failure_percentage(*, good: float, bad: float, all_good: float, all_bad: float) -> float:
    """Of the trial's runs, those that its runtime failed; 0 as long as they are few, or the rest does as badly.

    `all_good`, `all_bad`: of the whole fleet, the trial's among them.
    """
    runs = good + bad
    rest_bad, rest_runs = all_bad - bad, all_good + all_bad - runs
    is_worse = bad * rest_runs >= TIMES_THE_REST * rest_bad * runs
    is_rate = runs >= FEWEST_RUNS or bad >= FEWEST_FAILURES
    return 100 * bad / runs if is_rate and is_worse else 0
