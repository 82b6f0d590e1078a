"""Reads the fields of a test pattern's content; every wrong one is named in one failure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sdfleet.domain.content import Path, format_path
from sdfleet.domain.task import JsonObject
from sdfleet_scheduler.pictures import UnusablePicture, opened
from sdfleet_scheduler.runtimes.base import RuntimeFailure

#: No number of ours has more digits.
_LONGEST_NUMBER = 20


@dataclass(frozen=True)
class Source:
    """A picture that came with the task."""

    path: Path
    data: bytes = field(repr=False)


class Fields:
    def __init__(self, content: JsonObject) -> None:
        self._content = content
        self._problems: list[str] = []

    def refuse(self, name: str, problem: str) -> None:
        self._problems.append(f"content.{name} {problem}")

    def finish(self) -> None:
        """Raises:
        RuntimeFailure: permanent, if anything was refused.
        """
        if self._problems:
            raise RuntimeFailure.permanent("validation_failed", "; ".join(self._problems) + ".")

    def text(self, name: str) -> str:
        value = self._content.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        self.refuse(name, "must be text")
        return ""

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._content.get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.refuse(name, "must be true or false")
        return default

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self._content.get(name)
        return default if value is None else self.whole(value, name, low=low, high=high)

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        value = self._content.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.refuse(name, f"is {_shown(value)}; it must be a number from {low:g} to {high:g}")
            return default
        return float(value)

    def whole(self, value: Any, name: str, *, low: int, high: int) -> int:
        """`value` as a whole number; 512.0 and "512" are some too, as they are for the WebUI."""
        number = value
        if isinstance(value, str) and len(value) < _LONGEST_NUMBER and value.removeprefix("-").isdecimal():
            number = int(value)
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            number = int(value)
        if not is_integer(number) or not low <= number <= high:
            self.refuse(name, f"is {_shown(value)}; it must be a whole number from {low} to {high}")
            return low
        return int(number)

    def pictures(self, path: Path, data: bytes | None) -> Iterator[Source]:
        """The picture at `path`, if its bytes are one."""
        try:
            opened(data or b"")
        except UnusablePicture as problem:
            self.refuse(format_path(path), f"is no usable picture: {problem}")
        else:
            yield Source(path, data or b"")


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """A wrong value for an error: numbers only, the rest may be a prompt."""
    return str(value)[:_LONGEST_NUMBER] if isinstance(value, bool | int | float) else f"a {type(value).__name__}"
