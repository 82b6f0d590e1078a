"""The alarms on a release on trial: there before its refresh, gone after it, whatever is lost between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout_observations import NOW, seen, started
from sdfleet.domain.instance_refresh import (
    Action,
    EndTrial,
    Observed,
    Refresh,
    RefreshStatus,
    RollBackRefresh,
    StartRefresh,
    TrialWatch,
    WatchTrial,
)
from sdfleet.domain.rollout import Phase, Rollout
from sdfleet.domain.rollout_machine import plan_promote, plan_rollback, reconcile
from sdfleet.domain.rollout_record import from_json, to_json

MINUTE = timedelta(minutes=1)
DONE = Refresh("refresh-1", RefreshStatus.SUCCESSFUL, "4", NOW + MINUTE, 100)


def looked(
    rollout: Rollout, watch: TrialWatch, *refreshes: Refresh, after: int = 30
) -> tuple[Rollout, tuple[Action, ...]]:
    at = NOW + after * MINUTE
    return reconcile(rollout, Observed(at, refreshes, watch=watch), now=at)


def succeeded() -> Rollout:
    return seen(started()[0], RefreshStatus.SUCCESSFUL, 100)[0]


def test_a_refresh_to_a_release_begins_its_trial_and_the_way_back_begins_none() -> None:
    rollout, (start,) = started()
    _, (back,) = seen(rollout, RefreshStatus.FAILED, 40)

    assert isinstance(start, StartRefresh)
    assert isinstance(back, StartRefresh)
    assert (start.release, back.release) == ("1.1.0", None)


def test_the_end_deletes_them_until_it_is_seen_that_they_are_gone() -> None:
    rollout, actions = seen(started()[0], RefreshStatus.SUCCESSFUL, 100)
    assert (rollout.is_over, rollout.is_settled, actions) == (True, False, (EndTrial(),))

    for minute, watch in enumerate((TrialWatch.ALL, TrialWatch.SOME, TrialWatch.UNKNOWN), start=30):
        rollout, actions = looked(rollout, watch, DONE, after=minute)
        assert (rollout.is_settled, actions) == (False, (EndTrial(),))

    rollout, actions = looked(rollout, TrialWatch.NONE, DONE, after=40)
    assert (rollout.is_settled, rollout.phase, actions) == (True, Phase.SUCCEEDED, ())


@pytest.mark.parametrize(
    "status", [RefreshStatus.PENDING, RefreshStatus.IN_PROGRESS, RefreshStatus.BAKING, RefreshStatus.CANCELLING]
)
def test_they_stay_while_a_refresh_is_under_way_that_may_look_at_them(status: RefreshStatus) -> None:
    late = Refresh("refresh-2", status, "4", NOW + 20 * MINUTE)
    rollout, actions = looked(succeeded(), TrialWatch.ALL, DONE, late)
    assert (rollout.leaves_alarms, actions) == (True, ())


@pytest.mark.parametrize("status", [RefreshStatus.CANCELLING, RefreshStatus.ROLLBACK_IN_PROGRESS])
@pytest.mark.parametrize("watch", [TrialWatch.ALL, TrialWatch.NONE])
def test_a_refresh_on_its_way_back_is_not_disturbed(status: RefreshStatus, watch: TrialWatch) -> None:
    refresh = Refresh("refresh-1", status, "4", NOW + MINUTE, 20)
    _, actions = looked(started()[0], watch, refresh)
    assert actions == ()


@pytest.mark.parametrize("watch", [TrialWatch.SOME, TrialWatch.NONE])
def test_what_somebody_deletes_during_a_rollout_is_made_again(watch: TrialWatch) -> None:
    refresh = Refresh("refresh-1", RefreshStatus.IN_PROGRESS, "4", NOW + MINUTE, 20)
    _, actions = looked(started()[0], watch, refresh)
    assert actions == (WatchTrial("1.1.0"),)


@pytest.mark.parametrize("watch", [TrialWatch.ALL, TrialWatch.UNKNOWN])
def test_nothing_is_made_again_that_is_there_or_may_be(watch: TrialWatch) -> None:
    refresh = Refresh("refresh-1", RefreshStatus.IN_PROGRESS, "4", NOW + MINUTE, 20)
    _, actions = looked(started()[0], watch, refresh)
    assert actions == ()


def test_a_rollback_by_hand_makes_none_again() -> None:
    rollout, _ = plan_rollback(started()[0], reason="ada")
    refresh = Refresh("refresh-1", RefreshStatus.IN_PROGRESS, "4", NOW + MINUTE, 20)
    _, actions = looked(rollout, TrialWatch.NONE, refresh)
    assert actions == (RollBackRefresh(),)


def test_between_the_two_refreshes_of_a_promotion_they_stay() -> None:
    rollout, _ = seen(started(hold=True)[0], RefreshStatus.IN_PROGRESS, 20)
    rollout, _ = plan_promote(rollout, reason="ada")
    cancelled = Refresh("refresh-1", RefreshStatus.CANCELLED, "4", NOW + MINUTE, 20)
    _, (action,) = looked(rollout, TrialWatch.ALL, cancelled)
    assert isinstance(action, StartRefresh)
    assert action.release == "1.1.0"


def test_a_record_of_a_version_that_had_them_in_its_template_leaves_nothing_to_delete() -> None:
    values = to_json(succeeded())
    del values["leaves_alarms"]
    former = from_json(values)
    assert former.is_settled
    assert looked(former, TrialWatch.ALL, DONE) == (former, ())
