from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from builders import NOON
from sdfleet.aws.scaler_table import DynamoScalerStore, DynamoWorkReports
from sdfleet.domain.arrivals import Arrivals
from sdfleet.domain.fleet_observation import ManualSetting, Surplus
from sdfleet.domain.scaler_record import BootFailures, Fallback, InstanceWork, ScalerRecord
from sdfleet.domain.wake import AWAKE_GRACE
from sdfleet.errors import RecordConflict
from sdfleet.fleet_ports import ScalerStore, WorkReports
from sdfleet.memory.scaler_store import MemoryScalerStore, MemoryWorkReports

MINUTE = timedelta(minutes=1)
FULL = ScalerRecord(
    awake_until=NOON + MINUTE,
    called_at=NOON,
    holder="invocation-1",
    resting_since=NOON,
    arrivals=Arrivals(NOON, 12, (0.5, 2.25)),
    coming={"i-1": NOON, "i-2": NOON + MINUTE},
    task_s=1.5,
    boot_s=61.25,
    failures=BootFailures("7", 2, NOON),
    short_since=NOON,
    short_at=3,
    surplus=Surplus(NOON, 3, 12, NOON + MINUTE),
    fallback=Fallback(NOON, 0, 4),
    manual=ManualSetting(5, NOON + MINUTE),
    reason="backlog",
    decided_at=NOON,
    queued_s=18.0,
)


@pytest.fixture(params=["memory", "aws"])
def scaler_store(request: pytest.FixtureRequest) -> ScalerStore:
    if request.param == "memory":
        return MemoryScalerStore()
    clients = request.getfixturevalue("clients")
    return DynamoScalerStore(clients.dynamodb, request.getfixturevalue("table_name"))


@pytest.fixture(params=["memory", "aws"])
def reports(request: pytest.FixtureRequest) -> WorkReports:
    if request.param == "memory":
        return MemoryWorkReports()
    clients = request.getfixturevalue("clients")
    return DynamoWorkReports(clients.dynamodb, request.getfixturevalue("table_name"))


def test_a_fleet_that_nobody_has_looked_at_is_asleep(scaler_store: ScalerStore) -> None:
    record = scaler_store.load("sdruntime")
    assert record == ScalerRecord()
    assert record.is_asleep(NOON)


@pytest.mark.parametrize("record", [FULL, ScalerRecord(), replace(FULL, manual=ManualSetting(0))])
def test_what_is_saved_comes_back(scaler_store: ScalerStore, record: ScalerRecord) -> None:
    saved = scaler_store.save("sdruntime", record)
    assert scaler_store.load("sdruntime") == saved == replace(record, revision=1)


def test_fleets_have_records_of_their_own(scaler_store: ScalerStore) -> None:
    scaler_store.save("sdruntime", FULL)
    assert scaler_store.load("comfy") == ScalerRecord()


def test_a_record_that_changed_since_it_was_read_is_not_overwritten(scaler_store: ScalerStore) -> None:
    first = scaler_store.save("sdruntime", FULL)
    scaler_store.save("sdruntime", first)
    with pytest.raises(RecordConflict):
        scaler_store.save("sdruntime", first)
    with pytest.raises(RecordConflict):
        scaler_store.save("sdruntime", FULL)


def test_the_first_task_wakes_and_the_next_do_not(scaler_store: ScalerStore) -> None:
    assert scaler_store.wake("sdruntime", now=NOON)
    assert not scaler_store.wake("sdruntime", now=NOON + MINUTE / 2)
    record = scaler_store.load("sdruntime")
    assert (record.called_at, record.awake_until) == (NOON, NOON + AWAKE_GRACE)


def test_a_scaler_that_died_is_woken_again_when_its_time_is_over(scaler_store: ScalerStore) -> None:
    assert scaler_store.wake("sdruntime", now=NOON)
    assert scaler_store.wake("sdruntime", now=NOON + AWAKE_GRACE)


def test_a_wake_keeps_what_is_remembered(scaler_store: ScalerStore) -> None:
    scaler_store.save("sdruntime", replace(FULL, awake_until=NOON))
    assert scaler_store.wake("sdruntime", now=NOON)
    record = scaler_store.load("sdruntime")
    assert (record.boot_s, record.manual, record.coming) == (FULL.boot_s, FULL.manual, FULL.coming)


def test_whoever_looked_before_a_wake_has_to_look_again(scaler_store: ScalerStore) -> None:
    before = scaler_store.load("sdruntime")
    scaler_store.wake("sdruntime", now=NOON)
    with pytest.raises(RecordConflict):
        scaler_store.save("sdruntime", before)


def test_the_last_word_of_each_instance_is_read(reports: WorkReports) -> None:
    idle = InstanceWork("i-1", NOON, idle_since=NOON - MINUTE, task_s=2.5)
    busy = InstanceWork("i-2", NOON)
    for work in (InstanceWork("i-1", NOON - MINUTE), idle, busy):
        reports.report(work)
    assert reports.read(["i-1", "i-2", "i-unknown"]) == {"i-1": idle, "i-2": busy}
    assert reports.read([]) == {}


def test_a_fleet_of_hundreds_is_read(reports: WorkReports) -> None:
    ids = [f"i-{number}" for number in range(120)]
    for one in ids:
        reports.report(InstanceWork(one, NOON))
    assert reports.read(ids).keys() == set(ids)
