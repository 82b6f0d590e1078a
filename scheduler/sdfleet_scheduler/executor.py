"""Runs one message from its receipt to its settlement. One coroutine a message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sdfleet.domain import interruption, retry, trace, transitions
from sdfleet.domain.interruption import Notice
from sdfleet.domain.task import Task
from sdfleet.domain.transitions import Admission
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.messages import TaskMessage
from sdfleet.errors import (
    LeaseLost,
    MalformedMessage,
    ServiceUnavailable,
    TaskNotFound,
    TransitionRefused,
)
from sdfleet.ports import Clock, QueueMessage, TaskQueue, TaskStore
from sdfleet.telemetry import logs
from sdfleet_scheduler.attempts import Attempts
from sdfleet_scheduler.dead_letters import DeadLetters
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.heartbeat import Heartbeat
from sdfleet_scheduler.lease import Lease
from sdfleet_scheduler.line import Ticket
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.record import Record
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.settlement import Settlement
from sdfleet_scheduler.task_run import Stopped, StopReason, TaskRun
from sdfleet_scheduler.trial import never

log = logs.get_logger(__name__)

#: Of an adapter's words, in the record and the notice: both have their size limits.
MAX_FAILURE_LENGTH = 2000
#: A long task that must not begin on an instance at risk is left to others for this long.
AT_RISK_PAUSE = timedelta(seconds=5)
#: A failure before the claim (S3 away) is no attempt; the message comes back after this.
RETRY_BEFORE_CLAIM = timedelta(seconds=10)


class Executor:
    def __init__(
        self,
        *,
        attempts: Attempts,
        queue: TaskQueue,
        store: TaskStore,
        settlement: Settlement,
        dead_letters: DeadLetters,
        heartbeat: Heartbeat,
        health: RuntimeHealth,
        drain: Drain,
        is_at_risk: Callable[[], bool],
        clock: Clock,
        visibility: timedelta,
        new_token: Callable[[], str],
        is_on_trial: Callable[[], Awaitable[bool]] = never,
    ) -> None:
        """`is_at_risk`: a rebalance recommendation stands; no long task is begun then.

        `is_on_trial`: whether the release of this instance is; asked after a failure.
        """
        self._attempts = attempts
        self._queue = queue
        self._store = store
        self._settlement = settlement
        self._dead_letters = dead_letters
        self._heartbeat = heartbeat
        self._health = health
        self._drain = drain
        self._is_at_risk = is_at_risk
        self._clock = clock
        self._visibility = visibility
        self._new_token = new_token
        self._is_on_trial = is_on_trial
        #: The runs in hand, in the order of their receipt.
        self.runs: list[TaskRun] = []

    async def execute(self, message: QueueMessage, ticket: Ticket, *, received_at: datetime) -> None:
        """See the message through. Whatever cannot be done now comes back by itself: nothing is lost by leaving."""
        lease = Lease(self._queue, message, self._clock, visibility=self._visibility, received_at=received_at)
        try:
            task_message = messages.read_message(message.body)
            with logs.bound(task_id=task_message.task_id, run=task_message.run):
                await self._see_through(task_message, lease, ticket)
        except MalformedMessage as error:
            await self._unreadable(lease, error)
        except ServiceUnavailable:
            raise
        except Exception:  # the supervisor of one message: a bug of a release on trial is not the others'
            if not await self._is_on_trial():
                raise
            log.exception("message.crashed", message_id=message.message_id)
            self._health.task_failed()
            await lease.release(retry.trial_delay(message.receive_count))
        finally:
            ticket.leave()

    async def _unreadable(self, lease: Lease, error: MalformedMessage) -> None:
        if not await self._is_on_trial():
            await self._dead_letters.keep(lease, error)
            return
        self._health.task_failed()
        await self._dead_letters.leave_to_others(lease, error)

    async def oversee_drain(self) -> None:
        """Stop the runs that will not end in time. Runs until cancelled."""
        await self._drain.begun()
        while (notice := self._drain.notice) is not None:
            for run in self.runs:
                if not self._may_go_on(run, notice):
                    run.request_stop(StopReason.DRAIN)
            # Progress may turn out slower than it looked; a later notice may shorten the deadline.
            await asyncio.sleep(0.25)

    def _may_go_on(self, run: TaskRun, notice: Notice) -> bool:
        now, begun_at = self._clock.now(), run.ticket.begun_at
        return begun_at is not None and interruption.can_finish(
            elapsed=now - begun_at, progress=run.progress, left=interruption.time_left(notice, now=now)
        )

    async def _see_through(self, message: TaskMessage, lease: Lease, ticket: Ticket) -> None:
        task = await offload(self._store.load, message.task_id)
        if task is None:
            raise MalformedMessage("there is no record of this task", task_id=message.task_id)
        logs.bind(**trace.log_fields(task.trace_header))
        run = TaskRun(message, lease, Record(self._store, task), ticket, token=self._new_token())
        self.runs.append(run)
        keeper = asyncio.create_task(self._heartbeat.keep(run))
        try:
            while not await self._handle(run):
                log.info("task.changed")
        except LeaseLost:
            log.warning("lease.lost", reason="settlement")
        except (TransitionRefused, TaskNotFound) as error:
            log.warning("task.left", reason=type(error).__name__)
        except ServiceUnavailable:
            raise
        except Exception as error:  # the supervisor of one run
            if not await self._is_on_trial():
                raise
            log.exception("run.crashed")
            failure = RuntimeFailure.transient("internal_error", f"The scheduler failed ({type(error).__name__}).")
            await self._run_failed(run, failure)
        finally:
            self.runs.remove(run)
            keeper.cancel()
            await asyncio.wait({keeper})

    async def _handle(self, run: TaskRun) -> bool:
        """One pass over the task as its record shows it; False if the record changed under it."""
        task = run.record.task
        admission = transitions.admission(task, run=run.message.run, now=self._clock.now())
        if admission is Admission.RUN:
            if interruption.may_begin(task.timeout, is_rebalance_recommended=self._is_at_risk()):
                return await self._run(run)
            log.info("task.left", reason="too long for an instance at risk")
            await run.lease.release(AT_RISK_PAUSE)
            return True
        log.info("task.not_run", admission=admission.name.lower())
        if admission is Admission.OLDER_RUN:
            await self._settlement.delete(run.lease)
        elif admission is Admission.ENDED:
            await self._settlement.notify_and_delete(run.record, run.lease)
        elif admission is Admission.HELD:
            await run.lease.release(self._until_lease_end(task))
        elif admission is Admission.CANCEL:
            await self._settlement.cancelled(run)
        elif admission is Admission.EXPIRED:
            await self._settlement.failed(run, transitions.EXPIRED)
        else:
            await self._settlement.failed(run, transitions.ATTEMPTS_SPENT)
        return True

    def _until_lease_end(self, task: Task) -> timedelta:
        lease_until = task.claim.lease_until if task.claim else self._clock.now()
        # SQS counts whole seconds: rounded up, so that the message is not seen before the lease has ended.
        return timedelta(seconds=int((lease_until - self._clock.now()).total_seconds()) + 1)

    async def _run(self, run: TaskRun) -> bool:
        try:
            generation = await self._attempts.make(run)
        except Stopped as stopped:
            run.ticket.leave()
            await self._stopped(run, stopped.reason)
        except RuntimeFailure as failure:
            await self._run_failed(run, failure)
        else:
            run.ticket.leave()
            if generation is None:
                await run.record.refresh()
                return False
            self._health.task_succeeded()
            run.is_settling = True
            await self._settlement.succeeded(run, generation)
        return True

    async def _run_failed(self, run: TaskRun, failure: RuntimeFailure) -> None:
        is_on_trial = await self._is_the_release_to_blame(failure)
        self._judge_runtime(run, failure, is_on_trial=is_on_trial)
        run.ticket.leave()
        await self._failed(run, failure, is_on_trial=is_on_trial)

    async def _is_the_release_to_blame(self, failure: RuntimeFailure) -> bool:
        """On trial it answers for every failure but an interruption: even for what it refuses before the claim."""
        return failure.kind is not retry.FailureKind.INTERRUPTED and await self._is_on_trial()

    def _judge_runtime(self, run: TaskRun, failure: RuntimeFailure, *, is_on_trial: bool) -> None:
        """What a failure says of the instance; before the next in line meets the same server."""
        if failure.kind is retry.FailureKind.RUNTIME_LOST:
            self._health.doubt()
        elif is_on_trial:
            # What a release on trial calls a wrong request may be a part that it lacks.
            if self._is_telling(run, failure):
                self._health.task_failed()
        elif run.claimed_at is None:
            return
        elif failure.kind is retry.FailureKind.TRANSIENT:
            self._health.task_failed()
        elif failure.kind is retry.FailureKind.PERMANENT:
            self._health.task_succeeded()

    def _is_telling(self, run: TaskRun, failure: RuntimeFailure) -> bool:
        """Whether it counts as a failed try of the release.

        What fails before the claim, or is refused, is as often the caller's doing: it counts once, however often it
        goes round because a release is on trial, and so weighs alike on that and on the former one.
        """
        may_be_the_callers = run.claimed_at is None or failure.kind is retry.FailureKind.PERMANENT
        return not may_be_the_callers or run.deliveries == 1

    async def _stopped(self, run: TaskRun, reason: StopReason) -> None:
        # One that only stood in line has cost the runtime nothing.
        log.info("task.stopped", reason=reason, has_begun=run.ticket.begun_at is not None)
        if reason is StopReason.TIMEOUT:
            seconds = run.record.task.timeout.total_seconds()
            failure = RuntimeFailure.transient("timeout", f"The task did not end within {seconds:.0f} s.")
            await self._failed(run, failure, is_on_trial=await self._is_the_release_to_blame(failure))
            return
        run.is_settling = True
        if reason is StopReason.CANCEL_REQUESTED:
            await self._settlement.cancelled(run)
        elif reason in (StopReason.DRAIN, StopReason.OVERTAKEN):
            notice = self._drain.notice
            await self._settlement.requeued(
                run, reason=notice.kind if notice else reason, after=timedelta(0), spends_attempt=False
            )
        # Otherwise the task is somebody else's by now.

    async def _failed(self, run: TaskRun, failure: RuntimeFailure, *, is_on_trial: bool) -> None:
        run.is_settling = True
        kind = failure.kind
        if kind is retry.FailureKind.RUNTIME_LOST and run.ticket.begun_at is None:
            # It was only waiting in the server's queue: the loss is another task's.
            kind = retry.FailureKind.INTERRUPTED
        log.warning("task.try_failed", kind=kind, code=failure.code, is_on_trial=is_on_trial)
        if kind is not retry.FailureKind.INTERRUPTED and self._is_telling(run, failure):
            self._settlement.count_failed_try(run)
        if run.claimed_at is None and kind is not retry.FailureKind.PERMANENT:
            # It never ran: an outage before the claim is no attempt, the last one least of all.
            await self._settlement.requeued(run, reason=failure.code, after=RETRY_BEFORE_CLAIM, spends_attempt=False)
            return
        task = run.record.task
        decision = (
            retry.handed_back(task, deliveries=run.deliveries)
            if is_on_trial and kind is not retry.FailureKind.INTERRUPTED
            else retry.decide(kind, failure.code, str(failure)[:MAX_FAILURE_LENGTH], task)
        )
        if isinstance(decision, retry.GiveUp):
            await self._settlement.failed(run, decision.failure)
        else:
            await self._settlement.requeued(
                run,
                reason=failure.code,
                after=decision.delay,
                spends_attempt=decision.spends_attempt,
                counts_loss=decision.counts_loss,
            )
