"""How a run ends. The order is law: bytes → record → notify → mark → delete.

Each step is repeatable: a crash between any two is replayed from the record without a visible duplicate.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import tenacity

from sdfleet.domain import names, transitions
from sdfleet.domain.content import sniff
from sdfleet.domain.interruption import NoticeKind
from sdfleet.domain.task import Artifact, Failure, Task
from sdfleet.domain.wire import answers
from sdfleet.environment import DeploymentEnvironment
from sdfleet.errors import LeaseLost, ServiceUnavailable
from sdfleet.ports import ArtifactStore, Clock, Topic
from sdfleet.telemetry import logs, task_metrics
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.lease import Lease
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.outputs import converted, written_output
from sdfleet_scheduler.record import Record
from sdfleet_scheduler.runtimes.base import Generation, OutputFile
from sdfleet_scheduler.task_run import TaskRun
from sdfleet_scheduler.task_tally import TaskTally

log = logs.get_logger(__name__)

#: AWS hiccups last seconds. After this the message is left to come back; the work of a minute is lost, not the task.
RETRY_FOR_S = 60
#: Before the second call at most; random, so that not all instances come back at once.
FIRST_PAUSE_S = 0.2
#: A batch of 64 pictures must not open 64 connections.
PARALLEL_UPLOADS = 8
#: Files in the record: at about 400 bytes each half of DynamoDB's 400 KB item. All of them are in the `.out`.
MAX_RECORDED = 500
_INTERRUPTIONS = frozenset(NoticeKind)
_UNKNOWN_TYPE = ("bin", "application/octet-stream")


class Settlement:
    def __init__(
        self,
        deployment: DeploymentEnvironment,
        artifacts: ArtifactStore,
        result_topic: Topic,
        clock: Clock,
        instruments: Instruments,
        tally: TaskTally,
        *,
        link_lifetime: timedelta,
        release: str | None = None,
    ) -> None:
        """`release`: of this instance, under which its tasks are counted too."""
        self._deployment = deployment
        self._artifacts = artifacts
        self._result_topic = result_topic
        self._clock = clock
        self._instruments = instruments
        self._tally = tally
        self._link_lifetime = link_lifetime
        self._release = release
        self._uploads = asyncio.Semaphore(PARALLEL_UPLOADS)

    async def succeeded(self, run: TaskRun, generation: Generation) -> None:
        task = run.record.task
        files = await converted(generation.files, task.options.output_format)
        artifacts = await asyncio.gather(*(self._upload(task, n, file) for n, file in enumerate(files, start=1)))
        output_url = names.s3_url(
            self._deployment.output_bucket, names.output_key(task.prefix, task.id, run.message.run)
        )
        await _persistently(
            offload, self._put_output, output_url, generation.output, [artifact.url for artifact in artifacts]
        )
        await self._end(
            run,
            lambda current: transitions.succeed(
                current,
                run=run.message.run,
                token=run.token,
                artifacts=tuple(artifacts[:MAX_RECORDED]),
                output_url=output_url,
                now=self._clock.now(),
            ),
        )

    async def failed(self, run: TaskRun, failure: Failure) -> None:
        await self._end(
            run,
            lambda task: transitions.fail(task, failure, run=run.message.run, token=_token(run), now=self._clock.now()),
        )

    async def cancelled(self, run: TaskRun) -> None:
        await self._end(
            run,
            lambda task: transitions.cancelled(task, run=run.message.run, token=_token(run), now=self._clock.now()),
        )

    async def requeued(
        self, run: TaskRun, *, reason: str, after: timedelta, spends_attempt: bool, counts_loss: bool = False
    ) -> None:
        """Save, then let others have the message."""
        if run.claimed_at is not None:
            await _persistently(
                run.record.update,
                lambda task: transitions.requeue(
                    task,
                    run=run.message.run,
                    token=run.token,
                    spends_attempt=spends_attempt,
                    counts_loss=counts_loss,
                ),
            )
            if reason in _INTERRUPTIONS:
                task_metrics.interrupted(run.record.task, self._deployment.deployment_id)
        await run.lease.release(after)
        self._instruments.requeued.labels(reason).inc()
        log.info("task.requeued", reason=reason, after_s=after.total_seconds(), spends_attempt=spends_attempt)

    def count_failed_try(self, run: TaskRun) -> None:
        self._tally.try_failed(run.record.task, release=self._release)

    async def notify_and_delete(self, record: Record, lease: Lease, *, release: str | None = None) -> None:
        """The rest of a terminal task's settlement. `release`: what ended it, if that was here."""
        task = record.task
        if task.notified_at is None:
            await _persistently(offload, self._publish_notice, task)
            await _persistently(
                record.update, lambda current: transitions.notified(current, run=task.run, now=self._clock.now())
            )
            self._tally.ended(task, release=release)
        await self.delete(lease)

    async def delete(self, lease: Lease) -> None:
        try:
            await _persistently(lease.delete)
        except LeaseLost:
            # Somebody else has the message; it finds the record terminal and deletes it.
            log.info("message.left")

    async def _end(self, run: TaskRun, transition: Callable[[Task], Task]) -> None:
        task = await _persistently(run.record.update, transition)
        self._instruments.ended.labels(task.status).inc()
        log.info(
            "task.ended",
            status=task.status,
            attempt=task.attempt,
            artifacts=len(task.artifacts),
            error=task.error.code if task.error else None,
        )
        await self.notify_and_delete(run.record, run.lease, release=self._release)

    async def _upload(self, task: Task, number: int, file: OutputFile) -> Artifact:
        extension, content_type = sniff(file.data) or _declared(file)
        key = names.artifact_key(task.prefix, task.id, task.run, number, extension)
        url = names.s3_url(self._deployment.output_bucket, key)
        async with self._uploads:
            await _persistently(offload, self._artifacts.put, url, file.data, content_type=content_type)
        return Artifact(key=key, url=url, content_type=content_type, size_bytes=len(file.data))

    # These two wait and compute: call them through `offload`.

    def _put_output(self, url: str, output: Any, artifact_urls: Sequence[str]) -> None:
        self._artifacts.put(url, written_output(output, artifact_urls), content_type="application/json")

    def _publish_notice(self, task: Task) -> None:
        links = [
            self._artifacts.link(artifact.url, lifetime=self._link_lifetime)
            for artifact in task.artifacts[: answers.MAX_LISTED_OUTPUTS]
        ]
        self._result_topic.publish(answers.notice(task, image_link=links), answers.notice_attributes(task))


#: What the signatures cannot tell: text and latents of a workflow.
_EXTENSIONS: dict[str, tuple[str, str]] = {
    "txt": ("txt", "text/plain; charset=utf-8"),
    "json": ("json", "application/json"),
    "svg": ("svg", "image/svg+xml"),
    "latent": ("latent", "application/octet-stream"),
    "safetensors": ("safetensors", "application/octet-stream"),
}


def _declared(file: OutputFile) -> tuple[str, str]:
    extension = (file.name or "").rsplit(".", 1)[-1].lower()
    return _EXTENSIONS.get(extension, _UNKNOWN_TYPE)


def _token(run: TaskRun) -> str | None:
    return run.token if run.claimed_at is not None else None


async def _persistently(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call until it goes through, for a minute at most.

    Raises:
        ServiceUnavailable: it never did.
    """
    try:
        return await function(*args, **kwargs)
    except ServiceUnavailable:
        # tenacity comes in late: setting it up takes longer than the whole call.
        await asyncio.sleep(random.uniform(0, FIRST_PAUSE_S))
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(ServiceUnavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        stop=tenacity.stop_after_delay(RETRY_FOR_S),
        reraise=True,
    )
    return await retrying(function, *args, **kwargs)
