"""RolloutStore, in memory and on DynamoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from builders import NOON
from sdfleet.domain.rollout import Intent, Phase, Rollout, Target, Wish
from sdfleet.domain.rollout_record import LONGEST_HISTORY, RolloutHistory
from sdfleet.errors import RecordConflict
from sdfleet.fleet_ports import RolloutStore

ROLLOUT = Rollout(
    id="r1",
    runtime="sd",
    former=Target("1.0.0", "3"),
    target=Target("1.1.0", "4"),
    wish=Wish(20, timedelta(seconds=90), hold=True, by="ada", why="a faster sampler"),
    started_at=NOON,
    phase=Phase.ROLLING_BACK,
    intent=Intent.ROLL_BACK,
    refresh_id="refresh-2",
    past_refresh_ids=("refresh-1",),
    canary_done_at=NOON + timedelta(minutes=4),
    observed_at=NOON + timedelta(minutes=5),
    reason="alarm",
)


def test_a_fleet_that_had_none_has_an_empty_history(rollouts: RolloutStore) -> None:
    assert rollouts.load("sd") == RolloutHistory()


def test_a_rollout_is_read_as_it_was_written(rollouts: RolloutStore) -> None:
    rollouts.save("sd", RolloutHistory().followed_by(ROLLOUT))

    assert rollouts.load("sd") == RolloutHistory(ROLLOUT, (), 1)


def test_a_later_rollout_comes_before_the_former(rollouts: RolloutStore) -> None:
    rollouts.save("sd", RolloutHistory().followed_by(ROLLOUT))
    second = replace(ROLLOUT, id="r2")
    rollouts.save("sd", rollouts.load("sd").followed_by(second))

    assert rollouts.load("sd") == RolloutHistory(second, (ROLLOUT,), 2)


def test_a_writer_whose_reading_is_old_is_told_so(rollouts: RolloutStore) -> None:
    read = rollouts.load("sd")
    rollouts.save("sd", read.followed_by(ROLLOUT))

    with pytest.raises(RecordConflict):
        rollouts.save("sd", read.followed_by(replace(ROLLOUT, id="r2")))


def test_each_fleet_has_its_own(rollouts: RolloutStore) -> None:
    rollouts.save("sd", RolloutHistory().followed_by(ROLLOUT))

    assert rollouts.load("comfy") == RolloutHistory()


def test_a_history_ends_somewhere() -> None:
    history = RolloutHistory()
    for number in range(LONGEST_HISTORY + 5):
        history = history.followed_by(replace(ROLLOUT, id=str(number)))

    assert len(history.past) == LONGEST_HISTORY
    assert history.past[0].id == str(LONGEST_HISTORY + 3)
