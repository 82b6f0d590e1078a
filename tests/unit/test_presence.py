from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fake_imds import FakeImds
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.presence import Presence


@pytest.mark.parametrize(("life_cycle", "metric"), [("spot", "SpotInstances"), ("on-demand", "OnDemandInstances")])
async def test_an_instance_counts_itself_by_how_it_is_paid_for(
    life_cycle: str, metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await _presence(FakeImds(instance_life_cycle=life_cycle)).tell()
    (line,) = _lines(capsys)
    assert line[metric] == 1
    assert line["Fleet"] == "sdfleet-sdruntime"


async def test_what_is_no_ec2_instance_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    await _presence(FakeImds()).tell()
    assert _lines(capsys) == []


async def test_a_silent_metadata_service_is_no_reason_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    imds = FakeImds(instance_life_cycle="spot")
    imds.is_up = False
    await _presence(imds).tell()
    assert _lines(capsys) == []


def test_a_runtime_that_is_away_for_too_long_is_counted_with_its_release(capsys: pytest.CaptureFixture[str]) -> None:
    clock, wellness = FakeClock(), [True]
    presence = _presence(FakeImds(), clock, lambda: wellness[0])
    presence.look()
    wellness[0] = False
    for minutes in (1, 2):
        clock.advance(timedelta(minutes=minutes))
        presence.look()
    (line,) = _lines(capsys)
    assert (line["InstancesUnready"], line["Fleet"], line["Release"]) == (1, "sdfleet-sdruntime", "1.1.0")

    wellness[0] = True
    presence.look()
    assert _lines(capsys) == []


def _presence(imds: FakeImds, clock: FakeClock | None = None, is_well: Callable[[], bool] = lambda: True) -> Presence:
    return Presence(
        imds.client(),
        "sdfleet-sdruntime",
        clock or FakeClock(),
        release="1.1.0",
        is_well=is_well,
        patience=timedelta(minutes=3),
    )


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]
