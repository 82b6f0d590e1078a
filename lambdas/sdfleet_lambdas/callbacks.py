"""Posts notices to their callback addresses: signed, tried for a day, then left to the dead-letter queue.

A message stays in the callback queue until its receiver has taken it; between two tries it is invisible. How often it
was received says which try it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from sdfleet.domain import callback, names, trace
from sdfleet.domain.wire.callbacks import CallbackNotice, read_callback
from sdfleet.errors import LeaseLost, MalformedMessage
from sdfleet.telemetry import logs, metrics
from sdfleet_lambdas.callback_services import CallbackServices, callback_services
from sdfleet_lambdas.guarded_post import PostFailed
from sdfleet_lambdas.sqs_batch import QueuedMessage, handle_each

log = logs.get_logger(__name__)

#: A batch's messages are posted side by side: a slow receiver keeps nobody waiting.
_THREADS = 10
#: The notice's; receivers that log it see who called.
_USER_AGENT = "sdfleet"


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Lambda's entry point: the callback queue's event source mapping."""
    return handle(event, callback_services())


def handle(event: Mapping[str, Any], services: CallbackServices) -> dict[str, Any]:
    records = list(event.get("Records") or ())
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="callback") as threads:
        answers = threads.map(lambda record: _handle_one(record, services), records)
        return {"batchItemFailures": [failed for answer in answers for failed in answer["batchItemFailures"]]}


def _handle_one(record: Mapping[str, Any], services: CallbackServices) -> dict[str, Any]:
    return handle_each({"Records": [record]}, lambda message: _deliver(message, services))


def _deliver(message: QueuedMessage, services: CallbackServices) -> bool:
    """Whether the queue may forget the message."""
    try:
        notice = read_callback(message.body)
    except MalformedMessage as error:
        # Nobody of ours sent it. It comes back at the queue's own pace, and ends in the dead-letter queue.
        log.error("callback.malformed", reason=str(error))
        return False
    with logs.bound(task_id=notice.task_id, callback_id=notice.event_id, **trace.log_fields(notice.trace_header)):
        return _try(notice, message, services)


def _try(notice: CallbackNotice, message: QueuedMessage, services: CallbackServices) -> bool:
    tries = message.receive_count
    try:
        target = callback.parse_target(notice.url, named_hosts=services.named_hosts)
        answer = services.post(target, _headers(notice, services), notice.body)
    except PostFailed as error:
        return _postpone(notice, message, services, reason=str(error))
    except ValueError as error:
        return _postpone(notice, message, services, reason=f"the address or the secret is not valid: {error}")
    if HTTPStatus(200) <= answer.status < HTTPStatus(300):
        _count(names.CALLBACKS_DELIVERED, services)
        log.info("callback.delivered", host=target.authority, status=answer.status, tries=tries)
        return True
    if answer.status == HTTPStatus.GONE:
        # The receiver wants no more of it (Standard Webhooks, "Delivery").
        _count(names.CALLBACKS_FAILED, services)
        log.warning("callback.refused", host=target.authority, status=answer.status, tries=tries)
        return True
    return _postpone(
        notice,
        message,
        services,
        reason=f"{target.authority} answered {answer.status}",
        retry_after=callback.read_retry_after(answer.retry_after, now=services.clock.now()),
    )


def _headers(notice: CallbackNotice, services: CallbackServices) -> dict[str, str]:
    signed = callback.signed_headers(
        services.keys.current(), event_id=notice.event_id, body=notice.body, now=services.clock.now()
    )
    headers = {"Content-Type": "application/json", "User-Agent": _USER_AGENT, "Connection": "close", **signed}
    traceparent = trace.write_traceparent(notice.trace_header) if notice.trace_header else None
    return {**headers, "traceparent": traceparent} if traceparent else headers


def _postpone(
    notice: CallbackNotice,
    message: QueuedMessage,
    services: CallbackServices,
    *,
    reason: str,
    retry_after: timedelta | None = None,
) -> bool:
    tries = message.receive_count
    delay = callback.delay_after(tries, event_id=notice.event_id, retry_after=retry_after)
    if delay is None:
        _count(names.CALLBACKS_FAILED, services)
        log.error("callback.given_up", reason=reason, tries=tries)
    else:
        _count(names.CALLBACK_TRIES_FAILED, services)
        log.warning("callback.postponed", reason=reason, tries=tries, retry_in_s=round(delay.total_seconds()))
    try:
        # Given up: visible at once, for the queue to find that it was received too often.
        services.queue.extend(message.receipt, delay or timedelta(0))
    except LeaseLost:
        log.warning("callback.lease_lost")
    return False


def _count(metric: str, services: CallbackServices) -> None:
    metrics.count(metric, metrics.of_deployment(services.deployment_id))
