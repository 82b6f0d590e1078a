"""What a release on trial is measured by: its own runs, beside those of the rest of its fleet."""

from __future__ import annotations

import json
from dataclasses import dataclass

#: One failure of two runs is no rate.
FEWEST_RUNS = 5
#: But so many are: after them an instance stops receiving, and its release would have no more runs to be measured by.
FEWEST_FAILURES = 3
#: A release fails more than the one before it if it fails at this many times its rate: what their callers do wrong
#: meets both alike.
TIMES_THE_REST = 2

#: Of the trial's runs, those that its runtime failed, in percent; 0 as long as they are few, or the rest does as badly.
#: CloudWatch's metric math, over runs of the trial and of the whole fleet, the trial's among them.
FAILURE_FORMULA = (
    f"IF(((FILL(good, 0) + FILL(bad, 0)) >= {FEWEST_RUNS} OR FILL(bad, 0) >= {FEWEST_FAILURES}) AND "
    "FILL(bad, 0) * (FILL(allgood, 0) + FILL(allbad, 0) - FILL(good, 0) - FILL(bad, 0)) >= "
    f"{TIMES_THE_REST} * (FILL(allbad, 0) - FILL(bad, 0)) * (FILL(good, 0) + FILL(bad, 0)), "
    "100 * FILL(bad, 0) / (FILL(good, 0) + FILL(bad, 0)), 0)"
)


#: The parameter beside `image-version` that has a fleet's `TrialLimits`.
LIMITS_PARAMETER = "trial-limits"


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


@dataclass(frozen=True)
class TrialLimits:
    """What the configuration decides of the alarms on a release on trial. A fleet's parameter holds it."""

    #: Whom they tell: ARN of the deployment's topic.
    topic_arn: str
    failure_percentage: float
    dead_letters: int

    def to_json(self) -> str:
        return json.dumps(
            {
                "topic": self.topic_arn,
                "failurePercentage": self.failure_percentage,
                "deadLetters": self.dead_letters,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> TrialLimits:
        """Raises:
        ValueError: it is something else.
        """
        try:
            values = json.loads(text)
            return cls(
                topic_arn=str(values["topic"]),
                failure_percentage=float(values["failurePercentage"]),
                dead_letters=int(values["deadLetters"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"no limits of a trial: {text[:200]}") from error
