"""Recorded Spot availability, and the generator that is fitted to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sdfleet.errors import ConfigError
from sdfleet_sim.assumptions import Assumptions
from sdfleet_sim.spot_market import Zone, generate, replay
from sdfleet_sim.spot_traces import SpotTrace, load_trace, load_traces, measure, measure_any

#: Where the public traces lie: named, or beside the checkout.
FOLDER = Path(os.environ.get("SDFLEET_SPOT_TRACES") or Path(__file__).parents[3] / "shared" / "data" / "spot-traces")
needs_traces = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no public Spot traces: name their folder in SDFLEET_SPOT_TRACES"
)
MANY_YEARS_S = 10 * 365 * 86_400.0


def up_share(zone: Zone, until: float) -> float:
    return zone.availability(until)


def test_a_trace_is_read_as_the_public_repository_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "availability-2023-02-15-eu-north-1b-v100.json"
    path.write_text(json.dumps({"metadata": {"gap_seconds": 3600}, "data": [1, 2, 0, 0, 0, 1]}))
    trace = load_trace(path)
    assert (trace.zone, trace.region, trace.gap_s, trace.counts) == (
        "eu-north-1b",
        "eu-north-1",
        3600,
        (1, 2, 0, 0, 0, 1),
    )
    measured = measure(trace.is_up, trace.gap_s)
    # Two runs up, of two and one hours; one down, of three.
    assert (measured.availability, measured.mean_up_h, measured.mean_down_h) == (0.5, 1.5, 3.0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("no json", "no Spot trace"),
        ('{"data": [1]}', "gap_seconds"),
        ('{"metadata": {"gap_seconds": 0}, "data": [1]}', "above 0 seconds"),
        ('{"metadata": {"gap_seconds": 60}, "data": []}', "above 0 seconds"),
        ('{"metadata": {"gap_seconds": 60}, "data": [-1]}', "0 or more"),
        ('{"metadata": {"gap_seconds": 60}, "data": ["many"]}', "whole numbers"),
    ],
    ids=["no JSON", "no gap", "a gap of nothing", "no data", "less than none", "words"],
)
def test_what_is_no_trace_is_refused_with_what_is_wrong(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "availability-x.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        load_trace(path)


def test_a_folder_without_traces_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"availability-\*\.json"):
        load_traces(tmp_path)


@needs_traces
@pytest.mark.parametrize(
    ("zone", "availability", "up_h", "down_h"),
    [("us-west-2a", 0.88, 6.1, 0.81), ("us-east-1a", 0.17, 0.72, 3.6)],
)
def test_the_public_traces_have_the_runs_that_are_known_of_them(
    zone: str, availability: float, up_h: float, down_h: float
) -> None:
    trace = next(one for one in load_traces(FOLDER) if one.zone == zone)
    measured = measure(trace.is_up, trace.gap_s)
    assert measured.availability == pytest.approx(availability, abs=0.005)
    assert measured.mean_up_h == pytest.approx(up_h, abs=0.05)
    assert measured.mean_down_h == pytest.approx(down_h, abs=0.05)


@needs_traces
def test_the_assumed_markets_are_what_the_traces_say() -> None:
    traces = load_traces(FOLDER)
    for name in ("us-west-2", "us-east-1"):
        market = Assumptions.read().markets[name]
        members = [one for one in traces if one.region == name]
        for trace in members:
            measured = measure(trace.is_up, trace.gap_s)
            assert market.zones[trace.zone].up_h == pytest.approx(measured.mean_up_h, abs=0.01)
            assert market.zones[trace.zone].down_h == pytest.approx(measured.mean_down_h, abs=0.01)
        zones = generate(market, MANY_YEARS_S, seed=1)
        ticks = range(0, int(MANY_YEARS_S), 7200)
        any_up = sum(any(zone.is_up(at) for zone in zones) for at in ticks) / len(ticks)
        assert any_up == pytest.approx(measure_any(members).availability, abs=0.02)


@pytest.mark.parametrize("name", ["us-west-2", "us-east-1"])
def test_generated_zones_are_up_as_often_and_as_long_as_the_traces(name: str) -> None:
    market = Assumptions.read().markets[name]
    for zone in generate(market, MANY_YEARS_S, seed=1):
        assumed = market.zones[zone.name]
        assert up_share(zone, MANY_YEARS_S) == pytest.approx(assumed.up_h / (assumed.up_h + assumed.down_h), abs=0.02)
        ups = MANY_YEARS_S * up_share(zone, MANY_YEARS_S) / len(zone.outages())
        assert ups / 3600 == pytest.approx(assumed.up_h, rel=0.05)


def test_zones_of_a_region_go_down_together_more_often_than_by_chance() -> None:
    market = Assumptions.read().markets["us-west-2"]
    zones = generate(market, MANY_YEARS_S, seed=1)
    ticks = range(0, int(MANY_YEARS_S), 7200)
    all_down = sum(not any(zone.is_up(at) for zone in zones) for at in ticks) / len(ticks)
    by_chance = 1.0
    for zone in zones:
        by_chance *= 1 - up_share(zone, MANY_YEARS_S)
    assert by_chance < 0.002
    assert all_down == pytest.approx(market.region.down_share, abs=0.01)


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    market = Assumptions.read().markets["us-west-2"]
    first, again, other = (generate(market, 1e7, seed=seed)[0].changes for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_replayed_trace_keeps_its_shape_and_goes_round_at_its_end() -> None:
    trace = SpotTrace("here", 100.0, (1, 1, 1, 0, 0))
    (zone,) = replay([trace], 10_000.0, seed=3)
    assert zone.availability(10_000.0) == pytest.approx(0.6, abs=0.03)
    gaps = {round(later - earlier) for earlier, later in zip(zone.changes[1:], zone.changes[2:], strict=False)}
    assert gaps == {200, 300}
