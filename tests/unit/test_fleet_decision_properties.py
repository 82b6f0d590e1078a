"""What no decision may ever do, whatever is observed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sdfleet.domain.fleet_decision import decide
from sdfleet.domain.fleet_observation import (
    ComingInstance,
    IdleInstance,
    ManualSetting,
    Observed,
    RolloutStage,
    ScalerSettings,
    Surplus,
)
from sdfleet.domain.scaling import Limits

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTINGS = ScalerSettings()

_moments = st.integers(0, 4000).map(lambda seconds: NOON - timedelta(seconds=seconds))
_counts = st.integers(0, 30)


@st.composite
def _fleets(draw: st.DrawFn) -> Observed:
    least = draw(st.integers(0, 5))
    idle = draw(st.lists(_moments, max_size=8))
    coming = draw(st.lists(_moments, max_size=8))
    busy = draw(st.integers(0, 8))
    return Observed(
        visible=draw(st.integers(0, 2000)),
        in_flight=draw(_counts),
        # More than there are: not launched yet. Fewer: some are about to leave.
        desired=max(0, busy + len(idle) + len(coming) + draw(st.integers(-3, 5))),
        limits=Limits(least, least + draw(st.integers(0, 20))),
        busy=busy,
        idle=tuple(IdleInstance(f"idle{number}", since) for number, since in enumerate(idle)),
        coming=tuple(ComingInstance(f"coming{number}", since) for number, since in enumerate(coming)),
        is_called=draw(st.booleans()),
        task_s=draw(st.none() | st.floats(0.1, 1000)),
        boot_s=draw(st.none() | st.floats(0, 600)),
        arrivals_per_s=draw(st.floats(0, 100)),
        boot_failures=draw(st.integers(0, 4)),
        boot_failed_at=draw(st.none() | _moments),
        rollout=draw(st.sampled_from(RolloutStage)),
        manual=draw(st.none() | st.builds(ManualSetting, _counts)),
        short_since=draw(st.none() | _moments),
        on_demand_since=draw(st.none() | _moments),
        surplus=draw(st.none() | st.builds(Surplus, _moments, st.integers(1, 30), _counts, _moments)),
    )


@settings(max_examples=50)
@given(_fleets())
def test_the_capacity_is_raised_to_the_maximum_at_most_and_never_lowered(seen: Observed) -> None:
    desired = decide(seen, SETTINGS, NOON).desired
    assert desired is None or seen.desired < desired <= seen.limits.greatest


@settings(max_examples=50)
@given(_fleets())
def test_what_is_removed_is_idle_or_not_yet_in_service_and_leaves_the_minimum(seen: Observed) -> None:
    decision = decide(seen, SETTINGS, NOON)
    idle = {one.instance_id for one in seen.idle}
    coming = {one.instance_id for one in seen.coming}
    assert len(set(decision.remove)) == len(decision.remove)
    assert set(decision.remove) <= (coming if seen.boot_failures >= 3 else idle) | idle
    assert not decision.remove or seen.desired - len(decision.remove) >= seen.limits.least


@settings(max_examples=50)
@given(_fleets())
def test_of_those_that_were_idle_for_a_moment_only_the_surplus_goes_and_never_the_last(seen: Observed) -> None:
    quiet = replace(seen, manual=None, boot_failures=0)
    left = decide(quiet, SETTINGS, NOON).remove
    briefly = [one for one in quiet.idle if one.instance_id in left and NOON - one.since < SETTINGS.surplus_after]
    assert not briefly or (quiet.surplus is not None and len(left) <= quiet.surplus.least)
    assert not briefly or NOON - quiet.surplus.since >= SETTINGS.surplus_after  # type: ignore[union-attr]
    assert not briefly or quiet.running - len(left) >= max(1, quiet.limits.least, min(quiet.backlog, quiet.running))


@settings(max_examples=50)
@given(_fleets())
def test_a_surplus_is_never_more_than_was_found_before_and_not_while_the_fleet_grows(seen: Observed) -> None:
    decision = decide(seen, SETTINGS, NOON)
    if decision.surplus is not None:
        assert decision.desired is None
        assert 1 <= decision.surplus.least <= seen.running
        is_new = decision.surplus.since == NOON
        assert is_new or (seen.surplus is not None and decision.surplus.least <= seen.surplus.least)


@settings(max_examples=50)
@given(_fleets(), st.integers(1, 500))
def test_more_work_never_asks_for_less(seen: Observed, more: int) -> None:
    before = decide(seen, SETTINGS, NOON)
    after = decide(replace(seen, visible=seen.visible + more), SETTINGS, NOON)
    assert (after.desired or seen.desired) >= (before.desired or seen.desired)
    if seen.boot_failures < 3:
        assert len(after.remove) <= len(before.remove)


@settings(max_examples=50)
@given(_fleets())
def test_a_fleet_never_grows_and_shrinks_at_once(seen: Observed) -> None:
    decision = decide(seen, SETTINGS, NOON)
    assert decision.desired is None or not decision.remove


@settings(max_examples=50)
@given(_fleets())
def test_nobody_goes_to_sleep_over_waiting_tasks(seen: Observed) -> None:
    assert decide(seen, SETTINGS, NOON).goes_on or seen.backlog == 0


@settings(max_examples=50)
@given(_fleets())
def test_a_bake_is_left_alone(seen: Observed) -> None:
    baking = replace(seen, rollout=RolloutStage.BAKING, manual=None, desired=max(1, seen.desired))
    decision = decide(baking, SETTINGS, NOON)
    assert (decision.desired, decision.remove, decision.market) == (None, (), None)
