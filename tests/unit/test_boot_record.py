"""The count of boots that failed, and what the fast scaler makes of it."""

from __future__ import annotations

from datetime import timedelta

from builders import NOON
from sdfleet.domain import boot_record
from sdfleet.domain.boot_record import BootRecord
from sdfleet.domain.fleet_decision import Reason, decide
from sdfleet.domain.fleet_observation import DEFAULT_MOST_BOOT_FAILURES, Observed, ScalerSettings
from sdfleet.domain.scaling import Limits


def after(failures: int) -> BootRecord:
    record = BootRecord()
    for number in range(failures):
        record = boot_record.failed(record, instance_id=f"i-{number}", reason="no model", now=NOON)
    return record


def wanted(record: BootRecord) -> tuple[int | None, Reason]:
    """What the scaler asks for with ten messages waiting, a minute later."""
    seen = Observed(
        visible=10,
        in_flight=0,
        desired=0,
        limits=Limits(0, 5),
        boot_failures=record.failures_in_a_row,
        boot_failed_at=record.failed_at,
    )
    decision = decide(seen, ScalerSettings(), NOON + timedelta(minutes=1))
    return decision.desired, decision.reason


def test_after_several_in_a_row_the_fleet_stops_growing() -> None:
    assert wanted(after(DEFAULT_MOST_BOOT_FAILURES)) == (None, Reason.BOOT_FAILURES)


def test_one_fewer_does_not_stop_it() -> None:
    desired, _ = wanted(after(DEFAULT_MOST_BOOT_FAILURES - 1))
    assert desired is not None


def test_a_boot_that_makes_its_picture_lets_it_grow_again() -> None:
    record = boot_record.completed(after(DEFAULT_MOST_BOOT_FAILURES), boot_s=60.0)
    desired, reason = wanted(record)
    assert desired is not None
    assert reason is not Reason.BOOT_FAILURES


def test_an_instance_that_tells_twice_counts_once() -> None:
    record = boot_record.failed(after(1), instance_id="i-0", reason="too late", now=NOON + timedelta(minutes=5))
    assert record == after(1)
