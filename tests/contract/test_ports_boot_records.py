"""BootRecords, in memory and on DynamoDB."""

from __future__ import annotations

from datetime import timedelta

import pytest

from builders import NOON
from sdfleet.aws.boot_table import DynamoBootRecords
from sdfleet.aws.clients import Clients
from sdfleet.domain.boot_record import BootRecord
from sdfleet.fleet_ports import BootRecords
from sdfleet.memory.boot_records import MemoryBootRecords

LATER = NOON + timedelta(minutes=3)


@pytest.fixture(params=["memory", "aws"])
def records(request: pytest.FixtureRequest) -> BootRecords:
    if request.param == "memory":
        return MemoryBootRecords()
    clients: Clients = request.getfixturevalue("clients")
    return DynamoBootRecords(clients.dynamodb, request.getfixturevalue("table_name"))


def test_a_release_that_nobody_has_launched_has_not_failed(records: BootRecords) -> None:
    assert records.load("sd", "1.0.0") == BootRecord()


def test_failures_are_counted_with_the_last_reason(records: BootRecords) -> None:
    records.failed("sd", "1.0.0", instance_id="i-1", reason="no tag", now=NOON)
    records.failed("sd", "1.0.0", instance_id="i-2", reason="no disk", now=LATER)

    assert records.load("sd", "1.0.0") == BootRecord(2, LATER, "no disk", "i-2")


def test_an_instance_is_counted_once_whoever_of_it_tells(records: BootRecords) -> None:
    records.failed("sd", "1.0.0", instance_id="i-1", reason="no model", now=NOON)
    records.failed("sd", "1.0.0", instance_id="i-1", reason="too late", now=LATER)

    assert records.load("sd", "1.0.0") == BootRecord(1, NOON, "no model", "i-1")


def test_a_boot_that_makes_its_picture_ends_the_row(records: BootRecords) -> None:
    records.failed("sd", "1.0.0", instance_id="i-1", reason="no model", now=NOON)
    records.completed("sd", "1.0.0", boot_s=61.5, now=LATER)

    found = records.load("sd", "1.0.0")
    assert found.failures_in_a_row == 0
    assert found.boot_s == 61.5


def test_another_release_and_another_fleet_have_records_of_their_own(records: BootRecords) -> None:
    records.failed("sd", "1.0.0", instance_id="i-1", reason="no model", now=NOON)

    assert records.load("sd", "1.1.0").failures_in_a_row == 0
    assert records.load("xl", "1.0.0").failures_in_a_row == 0
