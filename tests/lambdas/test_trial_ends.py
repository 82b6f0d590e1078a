"""The alarms on a release on trial, from a rollout's beginning to its end, whichever that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from builders import NOON
from rollout_fleet import Group
from rollouts_bench import WISH, Fleet, fail_boots
from sdfleet.domain.instance_refresh import Action, CancelRefresh, EndTrial, Observed, StartRefresh, TrialWatch
from sdfleet.domain.rollout import Phase
from sdfleet.errors import DeploymentError, TrialUnwatched
from sdfleet_lambdas.rollouts import MOST_FAILED_BOOTS


def test_alarms_on_the_release_are_there_as_long_as_its_rollout() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    assert (fleet.group.watch, fleet.group.watched) == (TrialWatch.ALL, "1.1.0")
    while fleet.shown()[2] == "in-progress":
        assert fleet.group.watch is TrialWatch.ALL
        fleet.minutes(1)
    assert (fleet.shown()[2], fleet.group.watch) == ("stable", TrialWatch.NONE)


def to_its_end(fleet: Fleet) -> None:
    fleet.minutes(15)


def turned_back_by_an_alarm(fleet: Fleet) -> None:
    fleet.minutes(3)
    fleet.minutes(1, is_alarmed=True)
    fleet.minutes(8)


def turned_back_by_hand(fleet: Fleet) -> None:
    fleet.minutes(3)
    fleet.rollouts.roll_back(by="ada")
    fleet.minutes(8)


def turned_back_before_it_was_seen(fleet: Fleet) -> None:
    fleet.rollouts.roll_back(by="ada")
    fleet.minutes(8)


def cancelled_in_the_console(fleet: Fleet) -> None:
    fleet.minutes(3)
    fleet.group.carry_out(CancelRefresh())
    fleet.minutes(12)


def gave_up_at_boot(fleet: Fleet) -> None:
    fail_boots(fleet, MOST_FAILED_BOOTS)
    fleet.minutes(8)


@pytest.mark.parametrize(
    ("end", "phase"),
    [
        (to_its_end, Phase.SUCCEEDED),
        (turned_back_by_an_alarm, Phase.ROLLED_BACK),
        (turned_back_by_hand, Phase.ROLLED_BACK),
        (turned_back_before_it_was_seen, Phase.ROLLED_BACK),
        (cancelled_in_the_console, Phase.ROLLED_BACK),
        (gave_up_at_boot, Phase.ROLLED_BACK),
    ],
)
def test_whatever_way_a_rollout_ends_its_alarms_are_gone(end: Callable[[Fleet], None], phase: Phase) -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    end(fleet)
    current = fleet.rollouts.history().current
    assert current is not None
    assert (current.phase, current.is_settled) == (phase, True)
    assert (fleet.group.watch, fleet.group.unwatched) == (TrialWatch.NONE, [])


def test_a_promoted_rollout_is_watched_to_its_end_and_not_beyond() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", replace(WISH, hold=True))
    fleet.minutes(2)
    fleet.rollouts.promote(by="ada")
    fleet.minutes(3)
    assert (fleet.group.watch, fleet.group.watched) == (TrialWatch.ALL, "1.1.0")
    fleet.minutes(10)
    assert (fleet.shown()[2], fleet.group.watch, fleet.group.unwatched) == ("stable", TrialWatch.NONE, [])


class CannotDelete(Group):
    """For a while."""

    is_allowed = False

    def carry_out(self, action: Action) -> None:
        if isinstance(action, EndTrial) and not self.is_allowed:
            self.asked.append(action)
            raise DeploymentError("AWS does not allow DeleteAlarms.")
        super().carry_out(action)


def test_alarms_that_could_not_be_deleted_keep_nobody_from_seeing_the_end_and_are_deleted_later() -> None:
    group = CannotDelete(NOON)
    fleet = Fleet(group=group)
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(14)
    assert (fleet.shown(), group.watch) == (("1.1.0", "1.0.0", "stable"), TrialWatch.ALL)

    group.is_allowed = True
    fleet.minutes(1)
    assert group.watch is TrialWatch.NONE
    fleet.minutes(1)
    asked = len(group.asked)
    fleet.minutes(5)
    assert len(group.asked) == asked


def test_the_next_rollout_takes_over_what_the_last_one_has_left() -> None:
    group = CannotDelete(NOON)
    fleet = Fleet(group=group)
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(14)
    fleet.rollouts.start("1.2.0", WISH)
    assert (group.watch, group.watched) == (TrialWatch.ALL, "1.2.0")
    group.is_allowed = True
    fleet.minutes(14)
    assert (fleet.shown()[0], group.watch) == ("1.2.0", TrialWatch.NONE)


def test_once_they_are_gone_no_look_costs_a_call() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(14)

    def observed() -> Observed:
        raise AssertionError("nothing is left to see")

    fleet.group.observed = observed  # type: ignore[method-assign]
    fleet.minutes(3)


class CannotPut(Group):
    def carry_out(self, action: Action) -> None:
        if isinstance(action, StartRefresh):
            raise TrialUnwatched("No alarms can be put on 1.1.0.")
        super().carry_out(action)


def test_without_alarms_a_rollout_does_not_begin_and_nobody_else_begins_it_later() -> None:
    group = CannotPut(NOON)
    fleet = Fleet(group=group)
    with pytest.raises(TrialUnwatched, match="No alarms can be put"):
        fleet.rollouts.start("1.1.0", WISH)
    assert fleet.shown() == ("1.0.0", "unreleased", "rolling-back")

    # The recorder's own permissions are another's.
    fleet.rollouts = replace(fleet.rollouts, group=(free := Group(NOON)))
    fleet.group = free
    fleet.minutes(3)
    assert fleet.shown() == ("1.0.0", "unreleased", "stable")
    assert not [action for action in free.asked if isinstance(action, StartRefresh)]
    current = fleet.rollouts.history().current
    assert current is not None
    assert (current.reason, current.is_settled) == ("No alarms can be put on 1.1.0.", True)
