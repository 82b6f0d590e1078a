"""Keeps messages that are no tasks: nothing is dropped, and their senders are told where an id can be read."""

from __future__ import annotations

from sdfleet.domain import names, retry
from sdfleet.domain.task import Failure
from sdfleet.domain.wire import answers, dead_letters
from sdfleet.environment import DeploymentEnvironment
from sdfleet.errors import MalformedMessage
from sdfleet.ports import ArtifactStore, Clock, Topic
from sdfleet.telemetry import logs, metrics
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.lease import Lease
from sdfleet_scheduler.offload import offload

log = logs.get_logger(__name__)


class DeadLetters:
    def __init__(
        self,
        deployment: DeploymentEnvironment,
        runtime: str,
        artifacts: ArtifactStore,
        result_topic: Topic,
        clock: Clock,
        instruments: Instruments,
        *,
        release: str | None = None,
    ) -> None:
        """`release`: of this instance, under which its letters are counted too."""
        self._deployment = deployment
        self._runtime = runtime
        self._artifacts = artifacts
        self._result_topic = result_topic
        self._clock = clock
        self._instruments = instruments
        self._release = release

    async def keep(self, lease: Lease, error: MalformedMessage) -> None:
        """Write body and reason to the inbox bucket, notify, delete. A crash between repeats it on the same object."""
        message = lease.message
        url = names.s3_url(
            self._deployment.inbox_bucket, names.dead_letter_key(f"fleet-{self._runtime}", message.message_id)
        )
        letter = dead_letters.write_dead_letter(
            queue=self._runtime,
            message_id=message.message_id,
            body=message.body,
            reason=str(error),
            now=self._clock.now(),
        )
        await offload(self._artifacts.put, url, letter, content_type=dead_letters.MEDIA_TYPE)
        if error.task_id is not None:
            failure = Failure("malformed_message", str(error), permanent=True)
            await offload(
                self._result_topic.publish,
                answers.refusal_notice(error.task_id, failure, runtime=self._runtime, context={}),
                answers.refusal_attributes(error.task_id, runtime=self._runtime, event=message.message_id),
            )
        await lease.delete()
        self._instruments.dead_lettered.inc()
        metrics.count(names.DEAD_LETTERS, metrics.of_deployment(self._deployment.deployment_id))
        self._count_by_release()
        log.warning("message.dead_lettered", message_id=message.message_id, reason=str(error))

    async def leave_to_others(self, lease: Lease, error: MalformedMessage) -> None:
        """A release on trial may be the only one that cannot read it: counted against the release, and given back."""
        message = lease.message
        self._count_by_release()
        await lease.release(retry.trial_delay(message.receive_count))
        log.warning("message.not_read", message_id=message.message_id, reason=str(error))

    def _count_by_release(self) -> None:
        if self._release is not None:
            fleet = names.fleet_name(self._deployment.deployment_id, self._runtime)
            metrics.count(names.DEAD_LETTERS, {names.FLEET_DIMENSION: fleet, names.RELEASE_DIMENSION: self._release})
