"""Rollouts through record, group and parameters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rollouts_bench import WISH, Fleet, fail_boots
from sdfleet.domain.instance_refresh import (
    Action,
    CancelRefresh,
    EndTrial,
    RollBackRefresh,
    StartRefresh,
)
from sdfleet.domain.rollout import Phase
from sdfleet.domain.rollout_record import RolloutHistory
from sdfleet.errors import DeploymentRefused, RecordConflict, ServiceUnavailable
from sdfleet_lambdas.rollouts import MOST_FAILED_BOOTS


def test_a_rollout_ends_with_the_new_version_shown_and_its_launch_template_kept() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    assert fleet.shown() == ("1.0.0", "unreleased", "in-progress")

    fleet.minutes(12)

    assert fleet.shown() == ("1.1.0", "1.0.0", "stable")
    assert fleet.releases.read("sd", "launch-template-version") == fleet.group.versions["1.1.0"]


def test_an_alarm_shows_the_way_back_and_ends_where_it_began() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(2)
    fleet.minutes(1, is_alarmed=True)
    assert fleet.shown()[2] == "rolling-back"

    fleet.minutes(6)

    assert fleet.shown() == ("1.0.0", "unreleased", "stable")
    assert fleet.releases.read("sd", "launch-template-version") == "3"


def test_an_unknown_version_is_refused_before_anything_is_made() -> None:
    fleet = Fleet()

    with pytest.raises(DeploymentRefused, match=r"no release 9\.9\.9"):
        fleet.rollouts.start("9.9.9", WISH)
    assert fleet.group.versions == {"1.0.0": "3"}


def test_a_release_whose_image_is_gone_is_refused_before_anything_is_made() -> None:
    fleet = Fleet()
    rollouts = replace(fleet.rollouts, missing_images=lambda release: [release.scheduler_image])

    with pytest.raises(DeploymentRefused, match=r"scheduler@sha256:1\.1\.0 of release 1\.1\.0 is gone"):
        rollouts.start("1.1.0", WISH)
    assert fleet.group.versions == {"1.0.0": "3"}


def test_a_second_rollout_is_refused_before_anything_is_made() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)

    with pytest.raises(DeploymentRefused, match="under way"):
        fleet.rollouts.start("1.2.0", WISH)
    assert "1.2.0" not in fleet.group.versions


def test_a_start_that_never_reached_auto_scaling_is_made_up_for() -> None:
    fleet = Fleet()

    def lost(action: Action) -> None:
        raise ServiceUnavailable

    fleet.group.carry_out = lost  # type: ignore[method-assign]
    with pytest.raises(ServiceUnavailable):
        fleet.rollouts.start("1.1.0", WISH)
    del fleet.group.carry_out
    fleet.minutes(14)

    assert fleet.shown() == ("1.1.0", "1.0.0", "stable")


def test_a_rollback_in_the_middle_goes_back_at_once() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(3)
    rollout = fleet.rollouts.roll_back(by="ada", why="wrong colours")
    fleet.minutes(6)

    assert rollout.reason == "rolled back by ada: wrong colours"
    assert fleet.group.asked[-2:] == [RollBackRefresh(), EndTrial()]
    assert fleet.shown() == ("1.0.0", "unreleased", "stable")


def test_a_release_that_does_not_boot_is_turned_back_before_auto_scaling_gives_up() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(1)
    fail_boots(fleet, MOST_FAILED_BOOTS)
    fleet.minutes(6)

    assert fleet.group.asked[1] == RollBackRefresh()
    assert fleet.shown() == ("1.0.0", "unreleased", "stable")
    current = fleet.rollouts.history().current
    assert current is not None
    assert current.reason == "3 instances in a row gave up at boot, the last with: no GPU driver"


def test_a_boot_or_two_that_fail_are_chance() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fail_boots(fleet, MOST_FAILED_BOOTS - 1)
    fleet.minutes(12)

    assert fleet.shown() == ("1.1.0", "1.0.0", "stable")


def test_boots_of_an_earlier_rollout_to_the_release_are_history() -> None:
    fleet = Fleet()
    fail_boots(fleet, MOST_FAILED_BOOTS, before=timedelta(minutes=5))
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(12)

    assert fleet.shown() == ("1.1.0", "1.0.0", "stable")


def test_a_promoted_canary_is_followed_by_the_rest() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", replace(WISH, hold=True))
    fleet.minutes(2)
    fleet.rollouts.promote(by="ada")
    fleet.minutes(12)

    assert [type(action) for action in fleet.group.asked] == [StartRefresh, CancelRefresh, StartRefresh, EndTrial]
    assert fleet.shown() == ("1.1.0", "1.0.0", "stable")


def test_the_way_back_after_a_finished_rollout_is_a_rollout_of_its_own() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(12)
    assert fleet.rollouts.previous_version() == "1.0.0"

    fleet.rollouts.start("1.0.0", replace(WISH, percentage=100))
    fleet.minutes(12)
    history = fleet.rollouts.history()

    assert fleet.shown() == ("1.0.0", "1.1.0", "stable")
    assert history.current is not None
    assert [one.target.version for one in (history.current, *history.past)] == ["1.0.0", "1.1.0"]
    assert history.past[0].phase is Phase.SUCCEEDED


def test_two_writers_never_undo_each_other() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(3)
    save = fleet.store.save
    conflicts: list[str] = []

    def save_after_a_person(runtime: str, history: RolloutHistory) -> None:
        if not conflicts:
            conflicts.append(runtime)
            fleet.store.save = save  # type: ignore[method-assign]
            fleet.rollouts.roll_back(by="ada")
            raise RecordConflict
        save(runtime, history)

    fleet.store.save = save_after_a_person  # type: ignore[method-assign]
    fleet.minutes(8)

    assert conflicts
    assert fleet.shown() == ("1.0.0", "unreleased", "stable")


def test_parameters_that_could_not_be_written_are_written_by_the_next_look() -> None:
    fleet = Fleet()
    fleet.rollouts.start("1.1.0", WISH)
    fleet.minutes(12)
    fleet.releases.write("sd", "deployment-status", "in-progress")
    fleet.rollouts.reconcile()

    assert fleet.shown() == ("1.1.0", "1.0.0", "stable")


def test_a_fleet_without_rollouts_has_nothing_to_reconcile() -> None:
    assert Fleet().rollouts.reconcile() is None
