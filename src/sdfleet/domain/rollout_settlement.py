"""What a rollout had for its time, given back after its end: asked for until that is seen."""

from __future__ import annotations

from dataclasses import replace

from sdfleet.domain.instance_refresh import Action, EndTrial, Observed, SetMinimum, TrialWatch
from sdfleet.domain.rollout import Rollout


def settle(rollout: Rollout, observed: Observed) -> tuple[Rollout, tuple[Action, ...]]:
    """The rollout, over, in the light of what was observed, and what is still to be asked.

    The group gets its own minimum again; one that somebody has set meanwhile is left alone. The alarms on the release
    go, unless a refresh is under way that may name them.
    """
    actions: list[Action] = []
    if rollout.former_minimum is not None:
        if observed.minimum == rollout.wish.floor:
            actions.append(SetMinimum(rollout.former_minimum))
        else:
            rollout = replace(rollout, former_minimum=None)
    if rollout.leaves_alarms and observed.is_refreshed:
        if observed.watch is TrialWatch.NONE:
            rollout = replace(rollout, leaves_alarms=False)
        else:
            actions.append(EndTrial())
    return rollout, tuple(actions)
