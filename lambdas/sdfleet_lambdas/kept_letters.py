"""Keeping what cannot be used: nothing is dropped, and the alarm is on the metric."""

from __future__ import annotations

from typing import Any

from sdfleet.domain import names
from sdfleet.domain.task import Failure
from sdfleet.domain.wire import answers, messages
from sdfleet.domain.wire.dead_letters import MEDIA_TYPE, write_dead_letter
from sdfleet.telemetry import logs, metrics
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.sqs_batch import QueuedMessage

log = logs.get_logger(__name__)

#: A notice has 256 KiB for everything; a workflow can have fifty things wrong with it.
_MAX_REASON = 4_000


def keep(message: QueuedMessage, reason: str, services: Services, *, code: str) -> None:
    """Write body and reason to the inbox bucket, on one object however often it is repeated.

    The log gets `code` only: a reason names fields by the sender's own words.
    """
    url = names.s3_url(services.deployment.inbox_bucket, names.dead_letter_key(message.queue, message.message_id))
    letter = write_dead_letter(
        queue=message.queue,
        message_id=message.message_id,
        body=message.body,
        reason=reason,
        now=services.clock.now(),
    )
    services.artifacts.put(url, letter, content_type=MEDIA_TYPE)
    metrics.count(names.DEAD_LETTERS, metrics.of_deployment(services.deployment.deployment_id))
    log.warning("message.dead_lettered", reason=code)


def refuse(
    message: QueuedMessage,
    failure: Failure,
    services: Services,
    *,
    task_id: str | None,
    runtime: str | None = None,
    context: Any = None,
    callback_url: str | None = None,
    trace_header: str | None = None,
) -> None:
    """Keep it, and tell its sender, where an id could be read."""
    keep(message, failure.message, services, code=failure.code)
    if task_id is None:
        return
    if runtime is not None and not names.RUNTIME_NAME.fullmatch(runtime):
        # Not every text can be a message's attribute, and no runtime is named so.
        runtime = None
    told = Failure(failure.code, failure.message[:_MAX_REASON], permanent=failure.permanent)
    services.results.publish(
        answers.refusal_notice(task_id, told, runtime=runtime, context={} if context is None else context),
        answers.refusal_attributes(
            task_id,
            runtime=runtime,
            event=messages.publication_id(message.body) or message.message_id,
            callback_url=callback_url,
            trace_header=trace_header,
        ),
    )
