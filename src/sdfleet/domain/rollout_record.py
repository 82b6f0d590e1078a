"""Rollouts as they are kept: the present one of each fleet, and those before it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from sdfleet.domain.rollout import Intent, Phase, Rollout, Target, Wish

#: Kept of each fleet: a year of one a week.
LONGEST_HISTORY = 52
_TIMES = ("started_at", "canary_done_at", "baking_since", "ended_at", "observed_at")


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
    values = asdict(rollout)
    values["wish"]["bake"] = rollout.wish.bake.total_seconds()
    for name in _TIMES:
        values[name] = values[name] and values[name].isoformat()
    return values


def from_json(values: dict[str, Any]) -> Rollout:
    """Instances of several releases read the record: what only another version knows is passed over."""
    wish = _known(Wish, values["wish"])
    times = {name: datetime.fromisoformat(values[name]) for name in _TIMES if values.get(name)}
    return Rollout(
        **{
            **_known(Rollout, values),
            **times,
            "former": Target(**_known(Target, values["former"])),
            "target": Target(**_known(Target, values["target"])),
            "wish": Wish(**{**wish, "bake": timedelta(seconds=wish["bake"])}),
            "phase": Phase(values["phase"]),
            "intent": Intent(values["intent"]),
            "past_refresh_ids": tuple(values["past_refresh_ids"]),
        }
    )


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
