"""A scheduler's executor on memory adapters, with a runtime that does as it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from builders import INSTANCE, OUTPUT_BUCKET, a_deployment, a_queued_task, a_runtime_environment
from sdfleet.aws.clock import SystemClock
from sdfleet.domain.task import RuntimeType, Task
from sdfleet.domain.wire import messages
from sdfleet.environment import SchedulerEnvironment
from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.memory.task_store import MemoryTaskStore
from sdfleet.memory.topic import MemoryTopic
from sdfleet.ports import Clock, TaskStore
from sdfleet_scheduler.attempts import Attempts
from sdfleet_scheduler.circuit_breaker import CircuitBreaker
from sdfleet_scheduler.dead_letters import DeadLetters
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.executor import Executor
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.heartbeat import Heartbeat
from sdfleet_scheduler.inputs import Inputs
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.line import Line
from sdfleet_scheduler.models import Models
from sdfleet_scheduler.pace import Pace
from sdfleet_scheduler.poller import Poller
from sdfleet_scheduler.runtimes.base import FileReference, Generation, Job, OutputFile, ProgressCallback
from sdfleet_scheduler.settlement import Settlement
from sdfleet_scheduler.task_tally import TaskTally

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)

Behaviour = Callable[[Job, ProgressCallback], Awaitable[Generation]]


def a_generation(count: int = 1) -> Generation:
    return Generation(
        tuple(OutputFile(PNG) for _ in range(count)), {"images": [FileReference(n) for n in range(count)], "info": "x"}
    )


async def succeeds(job: Job, on_progress: ProgressCallback) -> Generation:
    return a_generation()


class ScriptedRuntime:
    """Each job meets the next behaviour; the last one stays."""

    def __init__(self, *behaviours: Behaviour, has_own_queue: bool = False) -> None:
        self.has_own_queue = has_own_queue
        self._behaviours = list(behaviours) or [succeeds]
        self.jobs: list[Job] = []
        self.interrupted: list[str] = []
        self.up = True

    def behave(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)

    async def is_ready(self) -> bool:
        return self.up

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        if not self.has_own_queue:
            await job.turn()
        self.jobs.append(job)
        behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
        try:
            return await behaviour(job, on_progress)
        except asyncio.CancelledError:
            self.interrupted.append(job.task_id)
            raise

    async def close(self) -> None: ...


class Harness:
    """One instance. `clock` moves the queue's and the records' time; sleeping is real."""

    def __init__(
        self,
        runtime: ScriptedRuntime | None = None,
        *,
        clock: Clock | None = None,
        visibility: timedelta = timedelta(seconds=30),
        store: TaskStore | None = None,
    ) -> None:
        self.clock: Clock = clock or FakeClock()
        self.runtime = runtime or ScriptedRuntime()
        self.memory_store = MemoryTaskStore(self.clock)
        self.store: TaskStore = store or self.memory_store
        self.queue = MemoryTaskQueue(self.clock)
        self.artifacts = MemoryArtifactStore()
        self.results = MemoryTopic()
        self.drain = Drain()
        self.may_look_ahead = True
        self.instruments = Instruments()
        self.visibility = visibility
        self.deployment = a_deployment(runtimes=(a_runtime_environment(type=RuntimeType.TEST_PATTERN),))
        self.pace = Pace()
        self.line = Line(self.pace, self.clock)
        self.health = RuntimeHealth(
            self.runtime,
            self.instruments,
            is_busy=lambda: self.line.is_busy,
            breaker=CircuitBreaker(self.clock),
            probe_when_down=timedelta(milliseconds=20),
        )
        self.models = Models(None, RuntimeType.TEST_PATTERN)
        self.build()

    def build(self) -> None:
        """Wire an executor and a poller over whatever stands in the attributes now."""
        tokens = itertools.count(1)
        environment = SchedulerEnvironment(runtime="sdruntime")
        self.settlement = Settlement(
            self.deployment,
            self.artifacts,
            self.results,
            self.clock,
            self.instruments,
            TaskTally(self.deployment.deployment_id),
            link_lifetime=timedelta(hours=1),
        )
        attempts = Attempts(
            runtime=self.runtime,
            environment=self.deployment.runtimes[0],
            artifacts=self.artifacts,
            models=self.models,
            inputs=Inputs(environment=environment, deployment=self.deployment, artifacts=self.artifacts),
            health=self.health,
            line=self.line,
            pace=self.pace,
            clock=self.clock,
            instruments=self.instruments,
            instance_id=INSTANCE,
        )
        self.executor = Executor(
            attempts=attempts,
            queue=self.queue,
            store=self.store,
            settlement=self.settlement,
            dead_letters=DeadLetters(
                self.deployment, "sdruntime", self.artifacts, self.results, self.clock, self.instruments
            ),
            heartbeat=Heartbeat(self.clock, visibility=self.visibility),
            health=self.health,
            drain=self.drain,
            is_at_risk=lambda: not self.may_look_ahead,
            clock=self.clock,
            visibility=self.visibility,
            new_token=lambda: f"token-{next(tokens)}",
        )
        self.poller = Poller(
            self.queue,
            self.executor,
            self.health,
            self.drain,
            self.line,
            self.clock,
            self.instruments,
            visibility=self.visibility,
            may_look_ahead=lambda: self.may_look_ahead,
        )

    def submit(self, *, content: dict[str, Any] | None = None, **changes: Any) -> Task:
        """An accepted and dispatched task, its message in the queue."""
        now = self.clock.now()
        given = {"created_at": now, "dispatched_at": now, "expires_at": now + timedelta(days=7), **changes}
        task = self.memory_store.create(a_queued_task(**given), replacing=None, now=now)
        self.queue.send(messages.write_message(task, content or {"prompt": "a dog"}))
        return task

    async def run_next(self) -> None:
        """Receive one message and see it through."""
        # An executor alone knows no probe: the runtime is as ready as it says.
        self.health._set(is_ready=await self.runtime.is_ready())
        received_at = self.clock.now()
        (message,) = self.queue.receive(max_messages=1, wait=timedelta(0), visibility=self.visibility)
        await self.executor.execute(message, self.line.join(), received_at=received_at)

    def task(self, task_id: str = "test-t2i") -> Task:
        task = self.memory_store.load(task_id)
        assert task is not None
        return task

    def notices(self) -> list[dict[str, Any]]:
        return [json.loads(publication.body) for publication in self.results.published]

    def outputs(self) -> list[str]:
        return [url for url in self.artifacts.urls() if url.startswith(f"s3://{OUTPUT_BUCKET}/")]


def a_real_time_harness(runtime: ScriptedRuntime, *, visibility_s: float = 0.9) -> Harness:
    return Harness(runtime, clock=SystemClock(), visibility=timedelta(seconds=visibility_s))


async def until_claimed(harness: Harness) -> None:
    async with asyncio.timeout(5):
        while not harness.runtime.jobs:
            await asyncio.sleep(0.005)
