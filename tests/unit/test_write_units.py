"""What DynamoDB bills for a task's life, written as it is written: the bill reckons with it."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

from builders import NOON, a_submission
from sdfleet.aws.task_record import DUE_AT, to_item
from sdfleet.domain import names, transitions
from sdfleet.domain.content_packing import packed
from sdfleet.domain.cost import Assumptions
from sdfleet.domain.task import Artifact, Task

#: As they are made: 32 hexadecimal characters.
TASK_ID, RUN_ID, TOKEN = "3f90517788f14c8d9a2b28fd17c209bb", "a6180046623b41f29c6e018488652c8a", "b" * 32
BUCKET = "sdfleet-output-123456789012-us-west-2"
TRACE = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1"
#: The name and value that the store adds to each write.
WRITE_ID_BYTES = len("write_id") + 16


def size_bytes(item: Any) -> int:
    """As DynamoDB counts (Developer Guide, "DynamoDB item sizes and formats")."""
    return sum(len(name) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Any) -> int:
    if "N" in value:
        return len(value["N"].strip("-0.")) // 2 + 2
    return 1 if "BOOL" in value else len(value["S"].encode())


def index_units(before: Any, after: Any) -> int:
    """A key that comes or goes is one write of the index, one that changes is two (Developer Guide, "Global secondary
    indexes", write capacity)."""
    old, new = before.get(DUE_AT), after.get(DUE_AT)
    return 0 if old == new else (old is not None) + (new is not None)


def a_life() -> list[Task]:
    """An accepted task's record after each write, until its caller was told."""
    accepted = transitions.new_task(
        a_submission(id=None, trace_header=TRACE),
        task_id=TASK_ID,
        run=RUN_ID,
        runtime="sdruntime",
        fingerprint="f" * 64,
        content_location=names.CONTENT_IN_TABLE,
        now=NOON,
    )
    dispatched = transitions.dispatched(accepted, now=NOON)
    claimed = transitions.claim(
        dispatched,
        run=RUN_ID,
        token=TOKEN,
        instance_id="i-0123456789abcdef0",
        lease_until=NOON + timedelta(seconds=20),
        now=NOON,
    )
    key = names.artifact_key("output", TASK_ID, RUN_ID, 1, "png")
    succeeded = transitions.succeed(
        claimed,
        run=RUN_ID,
        token=TOKEN,
        artifacts=(Artifact(key=key, url=names.s3_url(BUCKET, key), content_type="image/png", size_bytes=153_600),),
        output_url=names.s3_url(BUCKET, names.output_key("output", TASK_ID, RUN_ID)),
        now=NOON,
    )
    return [accepted, dispatched, claimed, succeeded, transitions.notified(succeeded, run=RUN_ID, now=NOON)]


def test_each_write_of_a_record_is_one_unit() -> None:
    assert max(size_bytes(to_item(task)) + WRITE_ID_BYTES for task in a_life()) <= 1024


def test_the_bill_has_as_many_write_units_as_a_life() -> None:
    items: list[Any] = [{}, *map(to_item, a_life())]
    of_index = sum(index_units(before, after) for before, after in itertools.pairwise(items))
    assert (len(items) - 1, of_index) == (Assumptions().record_writes, Assumptions().index_writes)


def test_the_contents_of_the_guidances_examples_are_one_write_unit() -> None:
    content = {"alwayson_scripts": {}, "prompt": "A dog", "steps": 16, "width": 512, "height": 512}
    item = packed(json.dumps(content).encode())
    assert item is not None
    assert len(item) + len(names.content_key(TASK_ID, RUN_ID)) < 1000
