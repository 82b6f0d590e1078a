"""What could be read of a request, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sdfleet.domain.task import ApiVersion, JsonObject, Submission, TaskOptions, TaskType
from sdfleet.domain.wire.reader import LONGEST_PATH, MAX_ERRORS
from sdfleet.errors import FieldError, InvalidRequest


@dataclass(frozen=True)
class FieldPaths:
    """Where a form of request keeps its fields: what is found out later is reported at the caller's own path."""

    tasktype: str
    runtime: str
    model: str
    #: Empty where the content is the body itself (v1alpha1).
    content: str
    #: None where the form has no such field.
    callback_url: str | None = None
    #: Fields of the content that the caller wrote elsewhere: where they are now, where they were.
    moved: tuple[tuple[str, str], ...] = ()

    @property
    def in_content(self) -> str:
        """What stands before the path of a field inside the content."""
        return f"{self.content}." if self.content else ""

    def as_written(self, errors: Iterable[FieldError]) -> list[FieldError]:
        """Errors in the content, at the paths where the caller wrote the fields."""
        moved = dict(self.moved)
        return [replace(error, path=moved.get(error.path, error.path)) for error in errors]


@dataclass(frozen=True)
class Draft:
    """A request that was read. Acceptance adds what only it can know, so that the caller learns everything at once."""

    api_version: ApiVersion
    id: str | None
    runtime: str | None
    tasktype: TaskType | None
    content: JsonObject = field(repr=False)
    at: FieldPaths
    prefix: str = "output"
    context: Any = field(default_factory=dict, repr=False)
    options: TaskOptions = field(default_factory=TaskOptions)
    model: str | None = None
    trace_header: str | None = None
    errors: tuple[FieldError, ...] = ()

    def refused(self, errors: Iterable[FieldError]) -> Draft:
        """The draft with more that is wrong with it, `MAX_ERRORS` in all; the same thing is said once."""
        more = [replace(error, path=error.path[:LONGEST_PATH]) for error in errors]
        if not more:
            return self
        return replace(self, errors=tuple(dict.fromkeys((*self.errors, *more)))[:MAX_ERRORS])

    def is_bad(self, path: str) -> bool:
        """Whether something is wrong at `path` already."""
        return any(error.path == path for error in self.errors)

    def submission(self) -> Submission:
        """Raises:
        InvalidRequest: with every bad field.
        """
        if self.errors or self.tasktype is None:
            raise InvalidRequest(self.errors or (FieldError(self.at.tasktype, "is missing"),))
        return Submission(
            api_version=self.api_version,
            id=self.id,
            runtime=self.runtime,
            tasktype=self.tasktype,
            content=self.content,
            prefix=self.prefix,
            context=self.context,
            options=self.options,
            model=self.model,
            trace_header=self.trace_header,
        )
