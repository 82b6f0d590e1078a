from __future__ import annotations

import json
import random

import pytest

from builders import a_task
from sdfleet.domain.content_packing import MAX_PACKED_BYTES, MAX_PLAIN_BYTES, packed, unpacked
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.reader import MAX_CONTEXT_BYTES
from sdfleet.errors import PayloadTooLarge

#: Nothing makes it smaller.
NOISE = random.Random(1).randbytes(MAX_PLAIN_BYTES)


def given_back(content: bytes, *, max_bytes: int) -> bytes:
    item = packed(content)
    assert item is not None
    return unpacked(item, max_bytes=max_bytes)


def test_a_content_comes_back_as_it_was() -> None:
    content = b'{"prompt":"A dog","steps":16}'
    assert given_back(content, max_bytes=len(content)) == content


def test_more_than_the_reader_takes_is_refused_before_all_of_it_is_unpacked() -> None:
    with pytest.raises(PayloadTooLarge):
        given_back(b"x" * 1000, max_bytes=999)


def test_what_stays_large_is_to_be_an_object() -> None:
    assert packed(NOISE[: MAX_PACKED_BYTES + 1]) is None
    assert packed(NOISE[: MAX_PACKED_BYTES - 100]) is not None


def test_a_message_with_the_largest_context_holds_whatever_the_table_keeps() -> None:
    content = {"prompt": "x" * (MAX_PLAIN_BYTES - 20)}
    assert packed(json.dumps(content).encode()) is not None
    message = messages.write_message(a_task(context="x" * (MAX_CONTEXT_BYTES - 2)), content)
    assert messages.read_message(message).content == content
