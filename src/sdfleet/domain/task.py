"""A task: what a client submitted, and everything we know of its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

#: A parsed JSON object. Its values are the client's; nothing in this package depends on their shape.
JsonObject = dict[str, Any]

#: Counted tries before a task fails for good, unless its runtime says otherwise.
DEFAULT_MAX_ATTEMPTS = 3
#: A try may take this long unless the request or the runtime says otherwise: SDXL, cold model, g4dn; doubled.
DEFAULT_TIMEOUT = timedelta(minutes=10)
#: A task that nobody ran for a week is failed with a notice; half of the queue's retention of 14 days.
TASK_EXPIRY = timedelta(days=7)
#: Records (and the status route) live this long (wire contract, Results).
RECORD_LIFETIME = timedelta(days=30)


class TaskType(StrEnum):
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    EXTRA_SINGLE_IMAGE = "extra-single-image"
    EXTRA_BATCH_IMAGES = "extra-batch-images"
    PIPELINE = "pipeline"


class RuntimeType(StrEnum):
    SDWEBUI = "sdwebui"
    COMFYUI = "comfyui"
    CUSTOM = "custom"
    TEST_PATTERN = "test_pattern"


_WEBUI_TASKTYPES = (
    TaskType.TEXT_TO_IMAGE,
    TaskType.IMAGE_TO_IMAGE,
    TaskType.EXTRA_SINGLE_IMAGE,
    TaskType.EXTRA_BATCH_IMAGES,
)

#: What each runtime type serves (wire contract, Requests).
TASKTYPES_OF: dict[RuntimeType, tuple[TaskType, ...]] = {
    RuntimeType.SDWEBUI: _WEBUI_TASKTYPES,
    RuntimeType.COMFYUI: (TaskType.PIPELINE,),
    RuntimeType.CUSTOM: tuple(TaskType),
    RuntimeType.TEST_PATTERN: tuple(TaskType),
}


class ApiVersion(StrEnum):
    V1ALPHA1 = "v1alpha1"
    V1ALPHA2 = "v1alpha2"
    #: The EC2 service's own `POST /task`.
    TASK = "task"


class OutputFormat(StrEnum):
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


class TaskStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in (TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED)


@dataclass(frozen=True)
class Failure:
    """Why a task failed, as its sender is told."""

    #: Stable, for programs: `model_not_found`, `input_unavailable`, `timeout`, ...
    code: str
    #: For people: what happened, which thing, what to do. No prompt, no stack trace.
    message: str
    #: True if the same request would fail again.
    permanent: bool


@dataclass(frozen=True)
class Artifact:
    """A generated file in the output bucket."""

    key: str
    url: str
    content_type: str
    size_bytes: int


@dataclass(frozen=True)
class Claim:
    """An instance's hold on a running task; it ends no later than the message's visibility."""

    token: str
    instance_id: str
    lease_until: datetime


@dataclass(frozen=True)
class TaskOptions:
    """The optional metadata of the wire contract."""

    priority: int = 0
    timeout_s: int | None = None
    output_format: OutputFormat | None = None
    #: Fairness between tenants: tasks of one group are not served before others only because they came in bulk.
    group: str | None = None
    #: Where the notice is posted as well. Its query may hold the receiver's secret.
    callback_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Submission:
    """A request that was read and is well-formed; not yet accepted."""

    api_version: ApiVersion
    #: None: one is made.
    id: str | None
    #: None (v1alpha1): the runtime is found by the model.
    runtime: str | None
    tasktype: TaskType
    content: JsonObject = field(repr=False)
    prefix: str = "output"
    context: Any = field(default_factory=dict, repr=False)
    options: TaskOptions = TaskOptions()
    #: The checkpoint the request names, if any.
    model: str | None = None
    #: The trace the request belongs to, as `trace.read_header` has it.
    trace_header: str | None = None


@dataclass(frozen=True)
class Task:
    """A task's record. Content is not in it: that lives in the message and in the inbox."""

    id: str
    #: Ours, new for each accepted submission of the id.
    run: str
    api_version: ApiVersion
    runtime: str
    tasktype: TaskType
    prefix: str
    context: Any = field(repr=False)
    #: SHA-256 of the submission in canonical form: the same id with the same content is the same task.
    fingerprint: str
    #: `names.CONTENT_IN_TABLE`, or the `s3://` URL of the content's inbox object.
    content_location: str
    created_at: datetime
    #: Failed with a notice if it has not ended by then.
    expires_at: datetime
    timeout: timedelta
    max_attempts: int
    options: TaskOptions = TaskOptions()
    model: str | None = None
    status: TaskStatus = TaskStatus.QUEUED
    #: The counted try that is running or comes next, from 1. Interruptions do not count.
    attempt: int = 1
    #: Runs that ended with a lost runtime or an expired lease: some are free, then they count as attempts.
    losses: int = 0
    progress: float = 0.0
    claim: Claim | None = None
    cancel_requested: bool = False
    #: When the request topic took it; None: the sweeper publishes it again.
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: When the result topic took the notice.
    notified_at: datetime | None = None
    artifacts: tuple[Artifact, ...] = ()
    output_url: str | None = None
    error: Failure | None = None
    trace_header: str | None = None
    #: Counts the writes of this record; a write expects the revision it has read.
    revision: int = 0

    @property
    def is_terminal(self) -> bool:
        return self.status.is_terminal

    def is_leased(self, now: datetime) -> bool:
        """Whether some instance holds the task at `now`."""
        return self.status is TaskStatus.RUNNING and self.claim is not None and self.claim.lease_until > now
