"""The `Idempotency-Key` header: one key never runs twice within a day."""

from __future__ import annotations

import re

from sdfleet.domain.wire.draft import Draft
from sdfleet.errors import FieldError
from sdfleet_lambdas.proxy import Request

_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[ -~]{1,255}")


def idempotency_key(request: Request) -> str | None:
    """As the store knows it: callers' keys and those of direct messages never meet."""
    key = request.header(_HEADER)
    return None if key is None else f"request:{key}"


def message_key(message_id: str) -> str:
    """A direct message that is delivered twice is the same submission."""
    return f"message:{message_id}"


def with_key_checked(draft: Draft, request: Request) -> Draft:
    key = request.header(_HEADER)
    if key is None or _KEY.fullmatch(key):
        return draft
    return draft.refused([FieldError(_HEADER, "must be 1 to 255 printable ASCII characters")])
