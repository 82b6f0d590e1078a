"""One try of a task, from its content to its pictures: content → models → inputs → claim → generate."""

from __future__ import annotations

import asyncio

from sdfleet.domain import names, transitions
from sdfleet.domain.task import JsonObject
from sdfleet.domain.wire import messages
from sdfleet.domain.wire.reader import parse_object
from sdfleet.environment import RuntimeEnvironment
from sdfleet.errors import InvalidRequest, ObjectNotFound, PayloadTooLarge, ServiceUnavailable, TransitionRefused
from sdfleet.ports import ArtifactStore, Clock
from sdfleet.telemetry import logs
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.inputs import Inputs
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.line import LONGEST_WAIT, Line
from sdfleet_scheduler.models import Models
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.pace import Pace
from sdfleet_scheduler.runtimes.base import Generation, InputFile, Job, Runtime, RuntimeFailure
from sdfleet_scheduler.task_run import Stopped, StopReason, TaskRun

log = logs.get_logger(__name__)


class Attempts:
    def __init__(
        self,
        *,
        runtime: Runtime,
        environment: RuntimeEnvironment,
        artifacts: ArtifactStore,
        models: Models,
        inputs: Inputs,
        health: RuntimeHealth,
        line: Line,
        pace: Pace,
        clock: Clock,
        instruments: Instruments,
        instance_id: str,
    ) -> None:
        self._runtime = runtime
        self._environment = environment
        self._artifacts = artifacts
        self._models = models
        self._inputs = inputs
        self._health = health
        self._line = line
        self._pace = pace
        self._clock = clock
        self._instruments = instruments
        self._instance_id = instance_id

    async def make(self, run: TaskRun) -> Generation | None:
        """The pictures; None if the record changed before the claim.

        Raises:
            Stopped: the run was asked to end.
            RuntimeFailure: classified.
        """
        content = await run.stoppable(self._content(run))
        models = await run.stoppable(self._models.prepare(run.record.task.tasktype, content))
        try:
            inputs = await run.stoppable(self._inputs.fetch(content))
            self._pace.prepared(self._clock.now() - run.ticket.joined_at)
            try:
                await self._claim(run)
            except TransitionRefused:
                return None
            return await self._generate(run, content, inputs)
        finally:
            models.release()

    async def _content(self, run: TaskRun) -> JsonObject:
        if run.message.content is not None:
            return run.message.content
        try:
            # Where our own record says: a message could name another task's content, or another bucket.
            location = run.record.task.content_location
            if location == names.CONTENT_IN_TABLE:
                # So small that every message of ours has it: this one is not ours.
                raise ObjectNotFound("The content is in the table, which instances do not read contents from.")
            body = await offload(self._artifacts.get, location, max_bytes=messages.MAX_CONTENT_BYTES)
            return await offload(parse_object, body)
        except (ObjectNotFound, PayloadTooLarge, InvalidRequest) as error:
            raise RuntimeFailure.permanent(
                "content_unavailable", "The content of this task is gone or unreadable. Send it again."
            ) from error
        except ServiceUnavailable as error:
            raise RuntimeFailure.transient("content_unavailable", "The content could not be read.") from error

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
            turn=lambda: self._turn(run),
            on_free=lambda: self._free(run),
        )
        timekeeper = asyncio.create_task(self._keep_time(run))
        try:
            return await run.stoppable(self._runtime.generate(job, run.report_progress))
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

    async def _turn(self, run: TaskRun) -> None:
        await run.ticket.first()
        if not self._health.is_ready:
            raise RuntimeFailure.interrupted("The runtime was lost before the task's turn came.")
        self._line.begin(run.ticket)

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
