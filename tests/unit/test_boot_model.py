"""The boot on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sdfleet.domain import boot_model
from sdfleet.domain.boot_model import MACHINES, Assumptions, Grade, Modelled, Term, terms

#: Half a second from what the command shows, in a sixteenth of its time.
DRAWS = 256
AS_SHIPPED = Assumptions()


def modelled(machine: str, given: Assumptions = AS_SHIPPED, *, draws: int = DRAWS) -> Modelled:
    return boot_model.modelled(MACHINES[machine], given, draws=draws)


@pytest.mark.parametrize("machine", ["g5.xlarge", "g6.xlarge"])
def test_the_first_picture_comes_within_what_is_promised(machine: str) -> None:
    found = modelled(machine)
    assert found.p50_s <= 75
    assert found.p95_s <= 120


def test_every_figure_has_a_source_that_says_where_to_look() -> None:
    for machine in MACHINES.values():
        for term in terms(machine, Assumptions()):
            assert len(term.source) > 10 or term.median_s == 0
            assert term.p95_s >= term.median_s


def test_no_figure_is_without_a_published_or_measured_one_behind_it() -> None:
    grades = {term.grade for machine in MACHINES.values() for term in terms(machine, Assumptions())}
    assert grades == {Grade.READ, Grade.COMPUTED}


def test_what_holds_the_picture_back_adds_up_to_the_mean() -> None:
    found = modelled("g5.xlarge")
    assert found.mean_s == pytest.approx(found.p50_s, rel=0.05)
    assert found.held_back_s["instance"] > found.held_back_s["decide"] > 0


def test_the_largest_three_are_named_and_are_the_machines_own_start_and_the_models() -> None:
    assert set(modelled("g5.xlarge").largest()) == {"instance", "models", "system"}


def test_without_an_initialization_rate_the_volume_bounds_the_boot() -> None:
    slow = modelled("g5.xlarge", Assumptions(initialization_mib_s=None))
    assert slow.largest(1) == ("read",)
    assert slow.p95_s > 120


def test_reading_ahead_is_worth_its_seconds() -> None:
    ahead, behind = (modelled("g5.xlarge", Assumptions(reads_ahead=one)) for one in (True, False))
    assert ahead.p50_s + 3 < behind.p50_s


def test_without_an_ami_the_pull_bounds_the_boot() -> None:
    assert modelled("g5.xlarge", Assumptions(has_ami=False)).largest(1) == ("runtime_image",)


def test_a_term_is_at_its_median_and_at_its_percentile_where_it_says() -> None:
    term = Term("any", 10, 20, "a test", Grade.READ)
    assert term.drawn(0.5) == pytest.approx(10)
    assert term.drawn(0.95) == pytest.approx(20)
    assert replace(term, median_s=0).drawn(0.9) == 0


def test_the_same_figures_come_out_each_time_and_hardly_depend_on_the_number_of_draws() -> None:
    def found(draws: int) -> Modelled:
        return modelled("g6.xlarge", draws=draws)

    assert found(64) == found(64)
    assert found(256).p50_s == pytest.approx(found(1024).p50_s, abs=0.5)
