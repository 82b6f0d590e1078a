"""What travels on the callback queue: the result topic's notices that have a callback address."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sdfleet.domain.trace import TRACE_HEADER
from sdfleet.domain.wire.answers import CALLBACK_ID, CALLBACK_URL
from sdfleet.domain.wire.reader import parse_json
from sdfleet.errors import MalformedMessage

#: The callback queue's filter on the result topic.
FILTER_POLICY: dict[str, list[dict[str, bool]]] = {CALLBACK_URL: [{"exists": True}]}


@dataclass(frozen=True)
class CallbackNotice:
    """One notice to post."""

    #: `webhook-id`.
    event_id: str
    #: As its sender gave it; its query may hold the receiver's secret.
    url: str = field(repr=False)
    #: The notice, byte for byte as the result topic had it.
    body: bytes = field(repr=False)
    task_id: str | None = None
    trace_header: str | None = None


def read_callback(envelope: str) -> CallbackNotice:
    """From SNS's envelope: the subscription does not deliver raw.

    Raises:
        MalformedMessage: it is no notice with a callback address.
    """
    try:
        outer = parse_json(envelope)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the message is not JSON") from error
    if not isinstance(outer, dict) or not isinstance(outer.get("Message"), str):
        raise MalformedMessage("the message is no notice in SNS's envelope")
    attributes = outer.get("MessageAttributes")
    values = {name: _value(attribute) for name, attribute in attributes.items()} if isinstance(attributes, dict) else {}
    url, event_id = values.get(CALLBACK_URL), values.get(CALLBACK_ID)
    if not url or not event_id:
        raise MalformedMessage(f"the notice lacks the attribute {CALLBACK_ID if url else CALLBACK_URL}")
    return CallbackNotice(
        event_id=event_id,
        url=url,
        body=outer["Message"].encode("utf-8", "surrogatepass"),
        task_id=values.get("id"),
        trace_header=values.get(TRACE_HEADER),
    )


def _value(attribute: Any) -> str | None:
    value = attribute.get("Value") if isinstance(attribute, dict) else None
    return value if isinstance(value, str) else None
