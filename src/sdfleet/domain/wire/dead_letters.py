"""The object that keeps a message which nobody could use: body and reason."""

from __future__ import annotations

import json
from datetime import datetime

MEDIA_TYPE = "application/json"


def write_dead_letter(*, queue: str, message_id: str, body: str, reason: str, now: datetime) -> bytes:
    """The JSON kept under `names.dead_letter_key(queue, message_id)` in the inbox bucket."""
    return json.dumps(
        {"queue": queue, "message_id": message_id, "reason": reason, "kept_at": now.isoformat(), "body": body}
    ).encode()
