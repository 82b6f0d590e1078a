"""ContentItems, in memory and on DynamoDB."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from builders import NOON, a_task
from sdfleet.aws.clients import Clients
from sdfleet.aws.content_items import DynamoContentItems
from sdfleet.aws.task_table import DynamoTaskStore
from sdfleet.domain import names
from sdfleet.domain.content_packing import MAX_PACKED_BYTES, MAX_PLAIN_BYTES, packed
from sdfleet.errors import ObjectNotFound
from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.memory.clock import FakeClock
from sdfleet.ports import ContentItems
from sdfleet_lambdas.inbox import Inbox

LATER = NOON + timedelta(days=30)
#: Every byte, as a packed content has them.
BYTES = bytes(range(256))
LONGEST_ID = "i" * 128


def test_an_item_is_read_as_it_was_put(content_items: ContentItems) -> None:
    content_items.put("a", "run-1", BYTES, until=LATER)
    assert content_items.get("a", "run-1") == BYTES


def test_each_run_has_its_own(content_items: ContentItems) -> None:
    content_items.put("a", "run-1", b"first", until=LATER)
    content_items.put("a", "run-2", b"second", until=LATER)
    assert [content_items.get("a", run) for run in ("run-1", "run-2")] == [b"first", b"second"]


def test_a_repeated_put_replaces_the_first(content_items: ContentItems) -> None:
    content_items.put("a", "run-1", b"first", until=LATER)
    content_items.put("a", "run-1", b"again", until=LATER)
    assert content_items.get("a", "run-1") == b"again"


def test_what_was_never_put_is_not_found(content_items: ContentItems) -> None:
    content_items.put("a", "run-1", BYTES, until=LATER)
    for task_id, run in (("a", "run-2"), ("b", "run-1")):
        with pytest.raises(ObjectNotFound):
            content_items.get(task_id, run)


def test_an_item_past_its_time_is_gone(content_items: ContentItems, clock: FakeClock) -> None:
    content_items.put("a", "run-1", BYTES, until=LATER)
    clock.advance(LATER - NOON)
    with pytest.raises(ObjectNotFound):
        content_items.get("a", "run-1")


def test_the_largest_packed_content_fits(content_items: ContentItems) -> None:
    largest = BYTES * 15
    content_items.put(LONGEST_ID, LONGEST_ID, largest[:MAX_PACKED_BYTES], until=LATER)
    assert content_items.get(LONGEST_ID, LONGEST_ID) == largest[:MAX_PACKED_BYTES]


@pytest.fixture
def of_the_table(clients: Clients, table_name: str, clock: FakeClock) -> DynamoContentItems:
    return DynamoContentItems(clients.dynamodb, table_name, clock=clock)


def test_the_largest_item_has_four_write_units(
    of_the_table: DynamoContentItems, clients: Clients, table_name: str
) -> None:
    of_the_table.put(LONGEST_ID, LONGEST_ID, bytes(MAX_PACKED_BYTES), until=LATER)
    (item,) = clients.dynamodb.scan(TableName=table_name)["Items"]
    size_bytes = sum(len(name) + len(text.get("S", text.get("B", text.get("N", "")))) for name, text in item.items())
    assert size_bytes <= 4 * 1024


def test_dynamodb_deletes_a_content_when_it_deletes_the_record(
    of_the_table: DynamoContentItems, clients: Clients, table_name: str, clock: FakeClock
) -> None:
    task = a_task()
    Inbox(of_the_table, MemoryArtifactStore(), "bucket").put(task, b"{}")
    DynamoTaskStore(clients.dynamodb, table_name, clock=clock).create(task, replacing=None, now=NOON)
    times = [item["ttl"]["N"] for item in clients.dynamodb.scan(TableName=table_name)["Items"]]
    assert len(times) == 2
    assert len(set(times)) == 1


def inbox_of(items: ContentItems) -> tuple[Inbox, MemoryArtifactStore]:
    objects = MemoryArtifactStore()
    return Inbox(items, objects, "inbox-bucket"), objects


@pytest.mark.parametrize(
    "content", [{"prompt": "A dog \N{DOG}"}, {"prompt": "A dog " * 20_000}], ids=["item", "object"]
)
def test_an_inbox_gives_back_what_it_was_given(content_items: ContentItems, content: dict[str, str]) -> None:
    inbox, objects = inbox_of(content_items)
    body = json.dumps(content).encode()
    location = inbox.put(a_task(), body)
    assert inbox.get(a_task(content_location=location), max_bytes=10**6) == body
    assert (location == names.CONTENT_IN_TABLE) == (packed(body) is not None) == (objects.urls() == [])


def test_an_inbox_reads_the_object_that_a_record_names(content_items: ContentItems) -> None:
    inbox, objects = inbox_of(content_items)
    task = a_task()
    objects.put(task.content_location, b"{}", content_type="application/json")
    assert inbox.get(task, max_bytes=10) == b"{}"


def test_a_message_has_room_for_what_the_table_keeps() -> None:
    assert packed(b"x" * MAX_PLAIN_BYTES) is not None
    assert packed(b"x" * (MAX_PLAIN_BYTES + 1)) is None
