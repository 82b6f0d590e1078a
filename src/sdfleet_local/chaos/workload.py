"""What the storm's tasks are, and how their results are known again."""

from __future__ import annotations

from typing import Any, Protocol

from sdfleet.domain.task import JsonObject, Task
from sdfleet_local.chaos.runtime_double import picture_of


class Workload(Protocol):
    tasktype: str

    def content(self, number: int, task_id: str, *, padding: int) -> JsonObject:
        """With `padding` bytes that mean nothing."""

    def flaw(self, number: int) -> str | None:
        """The code with which the service has to fail this task, for its content is wrong; None: it is good."""

    def is_picture(self, task_id: str, data: bytes) -> bool:
        """Whether these bytes are the picture that belongs to the task, and whole."""

    def is_output(self, task: Task, fields: Any) -> bool:
        """Whether a `.out` object's JSON is this task's."""


class DoubleWorkload:
    tasktype = "text-to-image"

    def content(self, number: int, task_id: str, *, padding: int) -> JsonObject:
        return {"prompt": f"picture {number}" + " " * padding}

    def flaw(self, number: int) -> str | None:
        return None

    def is_picture(self, task_id: str, data: bytes) -> bool:
        return data == picture_of(task_id)

    def is_output(self, task: Task, fields: Any) -> bool:
        output = fields.get("output") if isinstance(fields, dict) else None
        return isinstance(output, dict) and output.get("task_id") == task.id
