"""The dead-letter queues: what can never run is ended, what can is sent back, and every letter is kept.

They are nearly always empty, and an event source mapping asks day and night: the sweeper looks into them instead.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sdfleet.domain import trace, transitions
from sdfleet.domain.task import Failure, Task
from sdfleet.domain.transitions import Admission
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.messages import TaskMessage
from sdfleet.errors import MalformedMessage, SdfleetError
from sdfleet.ports import QueueMessage, TaskQueue
from sdfleet.telemetry import logs
from sdfleet_lambdas import kept_letters, records
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.publication import announce
from sdfleet_lambdas.sqs_batch import QueuedMessage, is_handled

log = logs.get_logger(__name__)

#: SQS hands out no more at once.
BATCH = 10
#: The sweeper's own limit as a function: it holds no letter any more when it runs again, and finds those it has left.
VISIBILITY = timedelta(seconds=55)
#: A short poll asks some of a queue's servers only and can miss a letter, which one of the next minutes finds. A long
#: poll asks them all and costs the same, but the function is paid while it waits: at 512 MB a second of each minute is
#: 0.29 USD a month, more than the event source mapping of a queue was.
GLANCE = timedelta(0)
#: Where a letter was, more may be, and a single one can be missed: now the second is worth it.
THOROUGH_LOOK = timedelta(seconds=1)

NOT_ACCEPTED = Failure(
    "not_accepted", "The message could not be accepted for a long time. Send it again.", permanent=False
)
UNKNOWN_TASK = Failure("unknown_task", "The message names a task that has no record. Send it again.", permanent=True)
RUNTIME_REMOVED = Failure(
    "runtime_removed", "The task's runtime is no part of this deployment any more. Name another.", permanent=True
)

_REASONS = {
    Admission.OLDER_RUN: "it is of an older run of its task",
    Admission.ENDED: "its task has ended",
    Admission.HELD: "received too often; sent back, an instance holds its task",
    Admission.RUN: "received too often; sent back, its task may run",
}


def collect(services: Services, *, until: datetime) -> int:
    """Settle what lies in the dead-letter queues, and delete it; how many letters that were.

    The queues take turns, a batch each: a burst in one does not hold up the letters of another. A letter that fails,
    and one that is received when the time is up, stays in its queue for the next run. So does everything in a queue
    that does not answer.
    """
    settled = left = 0
    turns = deque((name, queue, GLANCE) for name, queue in services.dead_letter_queues.items())
    while turns and services.clock.now() < until:
        name, queue, wait = turns.popleft()
        letters = _received(name, queue, wait)
        for letter in letters:
            if services.clock.now() < until and _is_settled(letter, name, queue, services):
                settled += 1
            else:
                left += 1
        if letters:
            turns.append((name, queue, THOROUGH_LOOK))
    if settled or left:
        log.info("letters.collected", settled=settled, left=left, is_complete=not turns)
    return settled


def _received(name: str, queue: TaskQueue, wait: timedelta) -> list[QueueMessage]:
    try:
        return queue.receive(max_messages=BATCH, wait=wait, visibility=VISIBILITY)
    except SdfleetError as error:
        log.warning("queue.unavailable", queue=name, reason=str(error))
    except Exception:  # a queue's trouble is not the others'
        log.exception("queue.failed", queue=name)
    return []


def _is_settled(letter: QueueMessage, name: str, queue: TaskQueue, services: Services) -> bool:
    def settle_and_delete(message: QueuedMessage) -> None:
        _settle(message, services)
        # Last: whatever is cut off before it is done once more.
        queue.delete(letter.receipt)

    return is_handled(QueuedMessage(letter.message_id, letter.body, attributes={}, queue=name), settle_and_delete)


def _settle(message: QueuedMessage, services: Services) -> None:
    runtime = _runtime_of(message, services)
    try:
        letter = messages.read_message(message.body)
    except MalformedMessage as error:
        # A direct message in the submission queue's DLQ has no run: it is not malformed, it had no chance.
        malformed = Failure("malformed_message", str(error), permanent=True)
        failure = malformed if runtime or error.task_id is None else NOT_ACCEPTED
        kept_letters.refuse(message, failure, services, task_id=error.task_id, runtime=runtime)
        return
    task = services.tasks.load(letter.task_id)
    if task is None:
        kept_letters.refuse(message, UNKNOWN_TASK, services, task_id=letter.task_id, runtime=runtime)
        return
    _settle_task(message, letter, task, services)


def _settle_task(message: QueuedMessage, letter: TaskMessage, task: Task, services: Services) -> None:
    logs.bind(**trace.log_fields(task.trace_header))
    queue = services.queues.get(_runtime_of(message, services) or task.runtime)
    task = records.update(
        services.tasks,
        task,
        lambda current: _ended_if_it_must(current, letter.run, queue, now=services.clock.now()),
    )
    admission = transitions.admission(task, run=letter.run, now=services.clock.now())
    # An expiry or a lease may run out between the two looks: then it is sent back, and comes here again.
    kept_letters.keep(message, _REASONS.get(admission, _REASONS[Admission.RUN]), services, code=admission.name.lower())
    if admission is Admission.ENDED:
        if task.notified_at is None:
            announce(task, services)
    elif admission is not Admission.OLDER_RUN and queue is not None:
        queue.send(message.body, group=messages.message_group(task))
        services.wake(task.runtime)
        log.info("message.sent_back", task_id=task.id, admission=admission.name.lower())


def _ended_if_it_must(task: Task, run: str, queue: TaskQueue | None, *, now: datetime) -> Task:
    admission = transitions.admission(task, run=run, now=now)
    if admission is Admission.CANCEL:
        return transitions.cancelled(task, run=run, now=now)
    if admission is Admission.EXPIRED:
        return transitions.expire(task, now=now)
    if admission is Admission.SPENT:
        return transitions.fail(task, transitions.ATTEMPTS_SPENT, run=run, now=now)
    if admission is Admission.RUN and queue is None:
        return transitions.fail(task, RUNTIME_REMOVED, run=run, now=now)
    return task


def _runtime_of(message: QueuedMessage, services: Services) -> str | None:
    """The runtime whose dead-letter queue it came from; None for the submission queue's."""
    return next(
        (
            runtime.name
            for runtime in services.deployment.runtimes
            if runtime.dead_letter_queue_url.rsplit("/", 1)[-1] == message.queue
        ),
        None,
    )
