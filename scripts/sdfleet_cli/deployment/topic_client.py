"""A service without an API, as in China: tasks go to its request topic, and its table tells how they end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sdfleet.aws.artifact_store import S3ArtifactStore
from sdfleet.aws.clients import Clients
from sdfleet.aws.task_table import DynamoTaskStore
from sdfleet.aws.topic import SnsTopic
from sdfleet.domain.task import Task
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment.service_client import Outcome, never_ended

_POLL_S = 3.0
#: No longer than the operator's own credentials, whatever is asked.
_LINK_LIFETIME = timedelta(hours=1)


class TopicClient:
    def __init__(
        self, clients: Clients, topic_arn: str, table_name: str, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._topic = SnsTopic(clients.sns, topic_arn)
        self._table = DynamoTaskStore(clients.dynamodb, table_name)
        self._artifacts = S3ArtifactStore(clients.s3)
        self._pause = pause

    def is_healthy(self) -> bool:
        # Nothing answers here but a task's end.
        return True

    def submit(self, task: Mapping[str, Any]) -> str:
        """Publish a v1alpha2 task; its id."""
        metadata = task["metadata"]
        self._topic.publish(json.dumps(task), {"runtime": str(metadata["runtime"])})
        return str(metadata["id"])

    def outcome(self, task_id: str, *, patience: timedelta, on_wait: Callable[[str, float], None]) -> Outcome:
        """The task's end; `on_wait` hears its status and the seconds waited so far.

        Raises:
            DeploymentError: it has not ended within `patience`.
        """
        began, status = time.monotonic(), "not recorded"
        while (waited := time.monotonic() - began) < patience.total_seconds():
            task = self._table.load(task_id)
            if task is not None:
                status = str(task.status)
                if task.is_terminal:
                    return self._outcome(task)
            on_wait(status, waited)
            self._pause(_POLL_S)
        raise DeploymentError(never_ended(task_id, status, patience))

    def _outcome(self, task: Task) -> Outcome:
        locations = tuple(artifact.url for artifact in task.artifacts)
        started, finished = task.started_at, task.finished_at
        return Outcome(
            status=str(task.status),
            links=tuple(self._artifacts.link(url, lifetime=_LINK_LIFETIME) for url in locations),
            locations=locations,
            error=f"{task.error.code}: {task.error.message}" if task.error else None,
            queue_s=(started - task.created_at).total_seconds() if started else None,
            run_s=(finished - started).total_seconds() if started and finished else None,
        )
