"""Rollouts as they are kept: the present one of each fleet, and those before it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sdfleet.domain.rollout import Intent, Phase, Rollout, Target, Wish

#: Kept of each fleet: a year of one a week.
LONGEST_HISTORY = 52
_TIMES = ("started_at", "canary_done_at", "ended_at", "observed_at")


@dataclass(frozen=True)
class RolloutHistory:
    """A fleet's rollouts; the store writes it if nobody else has since it was read."""

    #: The last, over or not; None: there was none.
    current: Rollout | None = None
    #: Those before it, newest first.
    past: tuple[Rollout, ...] = ()
    #: Of the record; 0: there is none.
    revision: int = 0

    def followed_by(self, rollout: Rollout) -> RolloutHistory:
        """With `rollout` as the current one, in the place of its former state or after the one that is over."""
        if self.current is None or self.current.id == rollout.id:
            return replace(self, current=rollout)
        return replace(self, current=rollout, past=(self.current, *self.past)[:LONGEST_HISTORY])

    def is_on_trial(self, version: str) -> bool:
        """Whether an instance of the release `version` is still to prove itself: its last rollout has not succeeded.

        One that was turned back never will; its last instances may have tasks in hand for a while. The release that a
        fleet began with has had none.
        """
        rollouts = (self.current, *self.past) if self.current else ()
        last = next((one for one in rollouts if one.target.version == version), None)
        return last is not None and last.phase is not Phase.SUCCEEDED


def to_json(rollout: Rollout) -> dict[str, Any]:
    fields = asdict(rollout)
    fields["wish"]["bake"] = rollout.wish.bake.total_seconds()
    for name in _TIMES:
        fields[name] = fields[name] and fields[name].isoformat()
    return fields


def from_json(fields: dict[str, Any]) -> Rollout:
    wish = fields["wish"]
    times = {name: fields[name] and datetime.fromisoformat(fields[name]) for name in _TIMES}
    return Rollout(
        **{
            **fields,
            **times,
            "former": Target(**fields["former"]),
            "target": Target(**fields["target"]),
            "wish": Wish(**{**wish, "bake": timedelta(seconds=wish["bake"])}),
            "phase": Phase(fields["phase"]),
            "intent": Intent(fields["intent"]),
            "past_refresh_ids": tuple(fields["past_refresh_ids"]),
        }
    )
