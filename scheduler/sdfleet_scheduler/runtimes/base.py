"""What a runtime adapter is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from sdfleet.domain.content import Path
from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import JsonObject, OutputFormat, TaskType
from sdfleet.errors import SdfleetError

#: Takes the share done, 0 to 1. Cheap; may be called often.
ProgressCallback = Callable[[float], None]


@dataclass(frozen=True)
class ModelLoad:
    """The server changed to another model for a job."""

    #: Its file, as the server calls it.
    model: str
    #: Until the server could use it.
    seconds: float
    #: The server had kept it from an earlier job.
    was_in_memory: bool


#: Told of each change of model; must not block.
LoadedCallback = Callable[[ModelLoad], None]


def nobody_listens(load: ModelLoad) -> None: ...


async def _at_once() -> None: ...


def _nobody_waits() -> None: ...


@dataclass(frozen=True)
class InputFile:
    """A link of the content, fetched."""

    #: Where in the content the link stands.
    path: Path
    #: A safe file name with an extension, unique within the task.
    name: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Job:
    """One run of a task, as the adapter needs it."""

    task_id: str
    run: str
    #: Unique to this try (it names the prompt or the task at the runtime): letters, digits, `-`.
    try_id: str
    tasktype: TaskType
    #: As submitted, links still in place.
    content: JsonObject = field(repr=False)
    inputs: tuple[InputFile, ...] = ()
    #: The runtime's static model; None: whatever the request names or the server has loaded.
    model: str | None = None
    output_format: OutputFormat | None = None
    #: Awaited when everything is prepared, before the server gets the job: one at a time. A server with a queue of its
    #: own, from which a job can be withdrawn alone, gets the job at once.
    turn: Callable[[], Awaitable[None]] = field(default=_at_once, repr=False, compare=False)
    #: Called once the runtime is done with the job, before its files are fetched or decoded: the next may begin.
    on_free: Callable[[], None] = field(default=_nobody_waits, repr=False, compare=False)


@dataclass(frozen=True)
class OutputFile:
    """A file that the runtime made. Its extension is found from the bytes; `name` is only for the `.out`."""

    data: bytes = field(repr=False)
    name: str | None = None
    content_type: str | None = None


@dataclass(frozen=True)
class FileReference:
    """Stands in `Generation.output` where the runtime's answer holds the file with this index (from 0)."""

    index: int


@dataclass(frozen=True)
class Generation:
    files: tuple[OutputFile, ...]
    #: The runtime's full answer, pictures replaced by `FileReference`; settlement writes it to the `.out` object.
    output: Any = field(repr=False)


class RuntimeFailure(SdfleetError):
    """The runtime did not make the pictures."""

    def __init__(self, kind: FailureKind, code: str, message: str) -> None:
        self.kind = kind
        #: Stable, for programs: `model_not_found`, `validation_failed`, `out_of_memory`, ...
        self.code = code
        #: Every further job would fail too, until the server is started again.
        self.needs_restart = False
        super().__init__(message)

    @classmethod
    def permanent(cls, code: str, message: str) -> RuntimeFailure:
        return cls(FailureKind.PERMANENT, code, message)

    @classmethod
    def transient(cls, code: str, message: str) -> RuntimeFailure:
        return cls(FailureKind.TRANSIENT, code, message)

    @classmethod
    def lost(cls, message: str) -> RuntimeFailure:
        return cls(FailureKind.RUNTIME_LOST, "runtime_lost", message)

    @classmethod
    def broken(cls, message: str) -> RuntimeFailure:
        """Lost, and no better before the server's process is another: its GPU context is dead."""
        failure = cls.lost(message)
        failure.needs_restart = True
        return failure

    @classmethod
    def interrupted(cls, message: str) -> RuntimeFailure:
        """Somebody interrupted the runtime, not us: the run is tainted and happens again, uncounted."""
        return cls(FailureKind.INTERRUPTED, "interrupted", message)


class Runtime(Protocol):
    async def is_ready(self) -> bool:
        """Whether a job handed over now would run: one bounded probe, True or False, never an exception."""

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        """Run the job to its end. The next call may come before that: see `Job.turn`.

        Cancelling this coroutine stops the job at the server: before the cancellation goes on, the adapter has
        interrupted (or withdrawn) this job and no other, and waited, bounded, until the server is free of it.

        Raises:
            RuntimeFailure: classified.
        """

    async def close(self) -> None: ...


@runtime_checkable
class ServedRuntime(Runtime, Protocol):
    """A runtime whose server can be looked into."""

    @property
    def needs_restart(self) -> bool:
        """The server is known to be broken until it is started again."""

    async def memory_used(self) -> int | None:
        """Main memory that the server takes, in bytes, by its own word; None: it does not answer, or does not say."""
