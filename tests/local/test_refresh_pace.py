"""Whatever the preferences, a refresh keeps the group between its bounds and comes to its end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from refresh_bench import RefreshBench
from sdfleet_local.refresh_pace import bounds
from sdfleet_local.refresh_preferences import Preferences


@st.composite
def healthy_percentages(draw: st.DrawFn) -> tuple[int, int | None]:
    least = draw(st.integers(0, 100))
    most = draw(st.none() | st.integers(100, min(200, least + 100)))
    return least, most


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 9),
    percentages=healthy_percentages(),
    first=st.integers(1, 99),
    lost=st.lists(st.integers(0, 40), max_size=3),
)
def test_a_refresh_stays_within_its_bounds_and_ends(
    size: int, percentages: tuple[int, int | None], first: int, lost: list[int]
) -> None:
    least, most = percentages
    bench = RefreshBench(size)
    limits = bounds(size, least, most)
    bench.start(Preferences(min_healthy=least, max_healthy=most, checkpoints=(first, 100)))
    for second in range(120):
        if second in lost:
            # Spot takes one: it is the group's to replace, and no breach of the refresh's.
            next(one for one in bench.launcher.launched if one.is_running).is_running = False
        bench.second()
        if second == 60:
            canaries = bench.releases.get("1.1.0", 0)
            assert 100 * canaries >= first * size
            bench.clock.advance(Preferences().checkpoint_delay)
    assert bench.status == "Successful"
    assert bench.releases == {"1.1.0": size}
    assert bench.most <= limits.ceiling
    if not lost:
        assert bench.fewest >= limits.floor


def test_a_group_of_one_is_replaced_without_a_gap_where_it_may_be_two() -> None:
    bench = RefreshBench(1)
    bench.start(Preferences(min_healthy=100, max_healthy=200))
    bench.settle()
    assert (bench.fewest, bench.most) == (1, 2)
    assert bench.status == "Successful"
