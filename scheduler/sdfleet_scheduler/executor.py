"""Runs one message from its receipt to its settlement. One coroutine a message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta

from sdfleet.domain import interruption, retry, transitions
from sdfleet.domain.interruption import Notice
from sdfleet.domain.task import JsonObject, Task
from sdfleet.domain.transitions import Admission
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.messages import TaskMessage
from sdfleet.environment import RuntimeEnvironment
from sdfleet.errors import (
    LeaseLost,
    MalformedMessage,
    ObjectNotFound,
    ServiceUnavailable,
    TaskNotFound,
    TransitionRefused,
)
from sdfleet.ports import ArtifactStore, Clock, QueueMessage, TaskQueue, TaskStore
from sdfleet.telemetry import logs
from sdfleet_scheduler.dead_letters import DeadLetters
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.heartbeat import Heartbeat
from sdfleet_scheduler.inputs import Inputs
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.lease import Lease
from sdfleet_scheduler.line import LONGEST_WAIT, Line, Ticket
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.pace import Pace
from sdfleet_scheduler.record import Record
from sdfleet_scheduler.runtimes.base import Generation, InputFile, Job, Runtime, RuntimeFailure
from sdfleet_scheduler.settlement import Settlement
from sdfleet_scheduler.task_run import Stopped, StopReason, TaskRun

log = logs.get_logger(__name__)

#: Content in the inbox bucket: the request's 4 MiB, and room for its escaping.
MAX_CONTENT_BYTES = 16 * 1024 * 1024
#: A failure before the claim (S3 away) is no attempt; the message comes back after this.
RETRY_BEFORE_CLAIM = timedelta(seconds=10)


class Executor:
    def __init__(
        self,
        *,
        runtime: Runtime,
        environment: RuntimeEnvironment,
        queue: TaskQueue,
        store: TaskStore,
        artifacts: ArtifactStore,
        inputs: Inputs,
        settlement: Settlement,
        dead_letters: DeadLetters,
        heartbeat: Heartbeat,
        health: RuntimeHealth,
        drain: Drain,
        line: Line,
        pace: Pace,
        clock: Clock,
        instruments: Instruments,
        instance_id: str,
        visibility: timedelta,
        new_token: Callable[[], str],
    ) -> None:
        self._runtime = runtime
        self._environment = environment
        self._queue = queue
        self._store = store
        self._artifacts = artifacts
        self._inputs = inputs
        self._settlement = settlement
        self._dead_letters = dead_letters
        self._heartbeat = heartbeat
        self._health = health
        self._drain = drain
        self._line = line
        self._pace = pace
        self._clock = clock
        self._instruments = instruments
        self._instance_id = instance_id
        self._visibility = visibility
        self._new_token = new_token
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
            await self._dead_letters.keep(lease, error)
        finally:
            ticket.leave()

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
        finally:
            self.runs.remove(run)
            keeper.cancel()
            await asyncio.wait({keeper})

    async def _handle(self, run: TaskRun) -> bool:
        """One pass over the task as its record shows it; False if the record changed under it."""
        task = run.record.task
        admission = transitions.admission(task, run=run.message.run, now=self._clock.now())
        if admission is Admission.RUN:
            return await self._run(run)
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
            content = await run.stoppable(self._content(run.message))
            inputs = await run.stoppable(self._inputs.fetch(content))
            self._pace.prepared(self._clock.now() - run.ticket.joined_at)
            try:
                await self._claim(run)
            except TransitionRefused:
                await run.record.refresh()
                return False
            generation = await self._generate(run, content, inputs)
        except Stopped as stopped:
            run.ticket.leave()
            await self._stopped(run, stopped.reason)
        except RuntimeFailure as failure:
            if failure.kind is retry.FailureKind.RUNTIME_LOST:
                # Before the next in line meets the same dead server.
                self._health.doubt()
            elif failure.kind is retry.FailureKind.TRANSIENT and run.claimed_at is not None:
                self._health.task_failed()
            elif failure.kind is retry.FailureKind.PERMANENT:
                self._health.task_succeeded()
            run.ticket.leave()
            await self._failed(run, failure)
        else:
            run.ticket.leave()
            self._health.task_succeeded()
            run.is_settling = True
            await self._settlement.succeeded(run, generation)
        return True

    async def _content(self, message: TaskMessage) -> JsonObject:
        if message.content is not None:
            return message.content
        try:
            body = await offload(self._artifacts.get, str(message.content_location), max_bytes=MAX_CONTENT_BYTES)
            content = json.loads(body)
        except (ObjectNotFound, ValueError) as error:
            raise RuntimeFailure.permanent(
                "content_unavailable", "The content of this task is gone. Send it again."
            ) from error
        except ServiceUnavailable as error:
            raise RuntimeFailure.transient("content_unavailable", "The content could not be read.") from error
        if not isinstance(content, dict):
            raise RuntimeFailure.permanent("content_unavailable", "The content of this task is no JSON object.")
        return content

    async def _claim(self, run: TaskRun) -> None:
        now = self._clock.now()
        await run.record.update(
            lambda task: transitions.claim(
                task,
                run=run.message.run,
                token=run.token,
                instance_id=self._instance_id,
                lease_until=run.lease.expires_at,
                now=now,
            )
        )
        run.claimed_at = now
        run.ticket.kind = run.record.task.tasktype
        log.info("task.claimed", attempt=run.record.task.attempt, losses=run.record.task.losses)

    async def _generate(self, run: TaskRun, content: JsonObject, inputs: tuple[InputFile, ...]) -> Generation:
        task = run.record.task
        job = Job(
            task_id=task.id,
            run=task.run,
            try_id=run.token,
            tasktype=task.tasktype,
            content=content,
            inputs=inputs,
            model=self._environment.model_filename,
            output_format=task.options.output_format,
            on_free=lambda: self._free(run),
        )
        timekeeper = asyncio.create_task(self._keep_time(run))
        try:
            return await run.stoppable(self._at_runtime(run, job))
        except (Stopped, RuntimeFailure):
            raise
        except Exception as error:  # a bug in an adapter must cost an attempt, not the instance
            log.exception("runtime.adapter_failed")
            raise RuntimeFailure.transient(
                "internal_error", f"The runtime adapter failed ({type(error).__name__})."
            ) from error
        finally:
            timekeeper.cancel()
            self._free(run)

    async def _at_runtime(self, run: TaskRun, job: Job) -> Generation:
        if self._runtime.depth == 1:
            await run.ticket.first()
            if not self._health.is_ready:
                raise RuntimeFailure.interrupted("The runtime was lost before the task's turn came.")
            self._line.begin(run.ticket)
        return await self._runtime.generate(job, run.report_progress)

    async def _keep_time(self, run: TaskRun) -> None:
        """The task's time runs from its turn on; waiting for it has its own limit."""
        try:
            async with asyncio.timeout(LONGEST_WAIT.total_seconds()):
                await run.ticket.first()
        except TimeoutError:
            self._line.give_up_waiting()
            run.request_stop(StopReason.OVERTAKEN)
            return
        self._line.begin(run.ticket)
        await asyncio.sleep(run.record.task.timeout.total_seconds())
        run.request_stop(StopReason.TIMEOUT)

    def _free(self, run: TaskRun) -> None:
        """The runtime is done with the task; called by whoever sees it first."""
        ticket = run.ticket
        if self._line.first is ticket and ticket.begun_at is not None:
            took = self._clock.now() - ticket.begun_at
            self._pace.generated(ticket.kind, took)
            self._instruments.generation.observe(took.total_seconds())
            self._instruments.busy.inc(took.total_seconds())
        ticket.leave()

    async def _stopped(self, run: TaskRun, reason: StopReason) -> None:
        log.info("task.stopped", reason=reason)
        if reason is StopReason.TIMEOUT:
            seconds = run.record.task.timeout.total_seconds()
            await self._failed(
                run, RuntimeFailure.transient("timeout", f"The task did not end within {seconds:.0f} s.")
            )
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

    async def _failed(self, run: TaskRun, failure: RuntimeFailure) -> None:
        run.is_settling = True
        kind = failure.kind
        if kind is retry.FailureKind.RUNTIME_LOST and run.ticket.begun_at is None:
            # It was only waiting in the server's queue: the loss is another task's.
            kind = retry.FailureKind.INTERRUPTED
        log.warning("task.try_failed", kind=kind, code=failure.code)
        decision = retry.decide(kind, failure.code, str(failure), run.record.task)
        if isinstance(decision, retry.GiveUp):
            await self._settlement.failed(run, decision.failure)
        elif run.claimed_at is None:
            await self._settlement.requeued(run, reason=failure.code, after=RETRY_BEFORE_CLAIM, spends_attempt=False)
        else:
            await self._settlement.requeued(
                run,
                reason=failure.code,
                after=decision.delay,
                spends_attempt=decision.spends_attempt,
                counts_loss=decision.counts_loss,
            )
