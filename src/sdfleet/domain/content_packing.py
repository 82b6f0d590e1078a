"""Which accepted contents are kept as items of the table, and in which form. The others are objects (adr/0015)."""

from __future__ import annotations

import zlib

from sdfleet.errors import PayloadTooLarge

#: Four write units with the item's key and time, 2.5 USD a million, and 1.8 USD for a month in table and backup; an
#: object is 5 USD to put. With a fifth unit the object is cheaper.
MAX_PACKED_BYTES = 4 * 1024 - 300
#: A larger one hardly becomes so small; and a message has room for this much with any context, so that whoever reads
#: the message never needs the item.
MAX_PLAIN_BYTES = 64 * 1024
#: Prompts and workflows shrink to a third; more effort saves a hundredth and doubles the time.
_LEVEL = 6


def packed(content: bytes) -> bytes | None:
    """The content as its item has it; None: it is to be an object."""
    if len(content) > MAX_PLAIN_BYTES:
        return None
    small = zlib.compress(content, _LEVEL)
    return small if len(small) <= MAX_PACKED_BYTES else None


def unpacked(item: bytes, *, max_bytes: int) -> bytes:
    """Raises:
    PayloadTooLarge: it has more than `max_bytes`.
    """
    content = zlib.decompressobj().decompress(item, max_bytes + 1)
    if len(content) > max_bytes:
        raise PayloadTooLarge(f"The content has more than the {max_bytes} bytes that are taken.")
    return content
