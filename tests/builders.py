"""What tests are made of: records and submissions with sensible values, each changed by keyword."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sdfleet.domain.task import (
    TASK_EXPIRY,
    ApiVersion,
    Artifact,
    Claim,
    Failure,
    RuntimeType,
    Submission,
    Task,
    TaskStatus,
    TaskType,
)
from sdfleet.environment import DeploymentEnvironment, RuntimeEnvironment

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)

OUTPUT_BUCKET = "sdfleet-test-output"
INBOX_BUCKET = "sdfleet-test-inbox"
RUN = "run-1"
TOKEN = "token-1"
INSTANCE = "i-0123456789abcdef0"


def a_submission(**changes: Any) -> Submission:
    submission = Submission(
        api_version=ApiVersion.V1ALPHA2,
        id="test-t2i",
        runtime="sdruntime",
        tasktype=TaskType.TEXT_TO_IMAGE,
        content={"prompt": "a lighthouse", "steps": 2},
        context={"abc": 123},
    )
    return replace(submission, **changes)


def a_task(**changes: Any) -> Task:
    """Accepted at NOON and queued; the request topic has not taken it yet."""
    task = Task(
        id="test-t2i",
        run=RUN,
        api_version=ApiVersion.V1ALPHA2,
        runtime="sdruntime",
        tasktype=TaskType.TEXT_TO_IMAGE,
        prefix="output",
        context={"abc": 123},
        fingerprint="f" * 64,
        content_location=f"s3://{INBOX_BUCKET}/inbox/test-t2i/run-1.json",
        created_at=NOON,
        expires_at=NOON + TASK_EXPIRY,
        timeout=timedelta(minutes=10),
        max_attempts=3,
    )
    return replace(task, **changes)


def a_queued_task(**changes: Any) -> Task:
    """Dispatched at NOON and waiting for an instance."""
    return a_task(**{"dispatched_at": NOON, **changes})


def a_running_task(**changes: Any) -> Task:
    """Claimed at NOON by INSTANCE with TOKEN, for LEASE."""
    running = {
        "status": TaskStatus.RUNNING,
        "claim": Claim(token=TOKEN, instance_id=INSTANCE, lease_until=NOON + LEASE),
        "started_at": NOON,
    }
    return a_queued_task(**{**running, **changes})


def a_succeeded_task(**changes: Any) -> Task:
    """Finished half a minute after NOON; nobody was told yet."""
    succeeded = {
        "status": TaskStatus.SUCCEEDED,
        "started_at": NOON,
        "finished_at": NOON + timedelta(seconds=30),
        "progress": 1.0,
        "artifacts": (an_artifact(),),
        "output_url": f"s3://{OUTPUT_BUCKET}/output/test-t2i/test-t2i-abcd.out",
    }
    return a_queued_task(**{**succeeded, **changes})


def a_failed_task(**changes: Any) -> Task:
    """Failed for good half a minute after NOON; nobody was told yet."""
    failed = {
        "status": TaskStatus.FAILED,
        "started_at": NOON,
        "finished_at": NOON + timedelta(seconds=30),
        "error": Failure("model_not_found", "The runtime has no such model.", permanent=True),
    }
    return a_queued_task(**{**failed, **changes})


def an_artifact(**changes: Any) -> Artifact:
    key = "output/test-t2i/test-t2i-abcd-1.png"
    artifact = Artifact(key=key, url=f"s3://{OUTPUT_BUCKET}/{key}", content_type="image/png", size_bytes=3)
    return replace(artifact, **changes)


def a_runtime_environment(**changes: Any) -> RuntimeEnvironment:
    runtime = RuntimeEnvironment(
        name="sdruntime",
        type=RuntimeType.SDWEBUI,
        queue_url="http://127.0.0.1:1/000000000000/sdruntime",
        dead_letter_queue_url="http://127.0.0.1:1/000000000000/sdruntime-dead-letters",
    )
    return replace(runtime, **changes)


def a_deployment(**changes: Any) -> DeploymentEnvironment:
    deployment = DeploymentEnvironment(
        deployment_id="test",
        table_name="test-tasks",
        output_bucket=OUTPUT_BUCKET,
        inbox_bucket=INBOX_BUCKET,
        request_topic_arn="arn:aws:sns:us-east-1:000000000000:test-requests",
        result_topic_arn="arn:aws:sns:us-east-1:000000000000:test-results",
        runtimes=(a_runtime_environment(),),
    )
    return replace(deployment, **changes)
