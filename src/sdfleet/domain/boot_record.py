"""How the boots of one release in one fleet end: what the fast scaler may read before it launches more of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

#: A release that nobody has launched for so long is another matter by then.
LIFETIME = timedelta(days=30)


@dataclass(frozen=True)
class BootRecord:
    #: Since the last boot that made its picture.
    failures_in_a_row: int = 0
    failed_at: datetime | None = None
    reason: str | None = None
    #: Whose boot was counted last: an instance counts once, whoever of it tells.
    instance_id: str | None = None
    #: From launch to first picture, of the last boot that got there.
    boot_s: float | None = None


def failed(record: BootRecord, *, instance_id: str, reason: str, now: datetime) -> BootRecord:
    if record.instance_id == instance_id:
        return record
    return replace(
        record,
        failures_in_a_row=record.failures_in_a_row + 1,
        failed_at=now,
        reason=reason,
        instance_id=instance_id,
    )


def completed(record: BootRecord, *, boot_s: float) -> BootRecord:
    return replace(record, failures_in_a_row=0, boot_s=boot_s)
