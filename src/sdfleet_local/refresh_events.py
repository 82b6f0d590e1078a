"""Events of instance refreshes on their way to the recorder: EventBridge and its rule, as a queue.

Best effort, as Auto Scaling's own: one that is lost is made good by the recorder's schedule.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sdfleet.errors import SdfleetError
from sdfleet.ports import TaskQueue
from sdfleet.telemetry import logs
from sdfleet_local.event_sources import Handler
from sdfleet_local.plan import REGION
from sdfleet_local.refresh_record import RefreshEvent

log = logs.get_logger(__name__)


def sender(queue: TaskQueue) -> Callable[[RefreshEvent], None]:
    """The group's side."""

    def send(event: RefreshEvent) -> None:
        log.info("refresh.moved", group=event.group, refresh=event.refresh_id, moved=event.kind)
        try:
            queue.send(json.dumps(event.to_event(region=REGION)))
        except SdfleetError as error:
            log.warning("refresh_event.lost", refresh=event.refresh_id, reason=str(error))

    return send


def receiver(handler: Handler) -> Handler:
    """The function's side: `handler` gets what EventBridge would hand over, once for each message."""

    def receive(batch: dict[str, Any], context: Any) -> None:
        for record in batch["Records"]:
            handler(json.loads(record["body"]), context)

    return receive
