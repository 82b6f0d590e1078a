"""Reads fields out of parsed JSON and collects everything that is wrong."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

from sdfleet.domain import names
from sdfleet.domain.task import JsonObject
from sdfleet.errors import FieldError, InvalidRequest

#: Wire contract, Limits.
MAX_CONTEXT_BYTES = 16 * 1024
MAX_ID_LENGTH = 128
#: S3 keys hold 1,024 bytes; the id (128) twice, the suffix and the number come after the prefix.
MAX_PREFIX_BYTES = 512
#: Real requests nest ten deep. Copying and writing JSON recurse: what nests deeper would fail later, and worse.
MAX_DEPTH = 64
#: Enough to mend any request in one go. Each costs a search for the nearest name, and all must fit into one answer.
MAX_ERRORS = 100

#: A caller's own keys are in it, and they may be long.
LONGEST_PATH = 512
#: Twice our longest.
_LONGEST_NAME = 128

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

E = TypeVar("E", bound=StrEnum)


def parse_object(body: str | bytes) -> JsonObject:
    """The JSON object in `body`.

    Raises:
        InvalidRequest: it is not JSON, or not an object.
    """
    try:
        value = parse_json(body)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest((FieldError("", f"the body is not valid JSON{where}"),)) from error
    if not isinstance(value, dict):
        raise InvalidRequest((FieldError("", "the body must be a JSON object"),))
    refuse_deep(value)
    return value


def parse_json(text: str | bytes) -> Any:
    """Raises:
    ValueError, RecursionError: it is not JSON. NaN and Infinity, which Python takes unless told, are none;
        1e999 is, but would be written as Infinity and so never be read again.
    """
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def refuse_deep(value: JsonObject) -> None:
    """Raises:
    InvalidRequest: it is nested more than `MAX_DEPTH` levels deep.
    """
    if _is_deeper(value, MAX_DEPTH):
        raise InvalidRequest((FieldError("", f"the body is nested more than {MAX_DEPTH} levels deep"),))


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


class Reader:
    """Collects everything that is wrong with one request."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def refuse(self, path: str, message: str) -> None:
        if len(self._errors) < MAX_ERRORS:
            self._errors.append(FieldError(path[:LONGEST_PATH], message))

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """In the order of their finding; the same thing is said once."""
        return tuple(dict.fromkeys(self._errors))

    def finish(self) -> None:
        """Raises:
        InvalidRequest: something was refused.
        """
        if self._errors:
            raise InvalidRequest(self.errors)

    def object(self, parent: JsonObject, key: str, path: str, *, required: bool = True) -> JsonObject:
        value = parent.get(key)
        if value is None and key not in parent:
            if required:
                self.refuse(path, "is missing; it must be an object")
            return {}
        if not isinstance(value, dict):
            self.refuse(path, "must be an object")
            return {}
        return value

    def text(self, parent: JsonObject, key: str, path: str, *, required: bool = True) -> str | None:
        value = parent.get(key)
        if value is None and key not in parent:
            if required:
                self.refuse(path, "is missing")
            return None
        if not isinstance(value, str) or not value:
            self.refuse(path, "must be a non-empty string")
            return None
        return value

    def choice(self, parent: JsonObject, key: str, path: str, kind: type[E], *, required: bool = True) -> E | None:
        text = self.text(parent, key, path, required=required)
        if text is None:
            return None
        try:
            return kind(text)
        except ValueError:
            values = [str(member) for member in kind]
            self.refuse(path, f"must be one of {', '.join(values)}.{did_you_mean(text, values)}")
            return None

    def integer(self, parent: JsonObject, key: str, path: str, *, low: int, high: int) -> int | None:
        value = parent.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(path, f"must be a whole number from {low} to {high}")
            return None
        return value

    def task_id(self, parent: JsonObject, key: str, path: str) -> str | None:
        if parent.get(key) is None:
            return None
        value = self.text(parent, key, path)
        if value is not None and not names.TASK_ID.fullmatch(value):
            self.refuse(path, f"must be 1 to {MAX_ID_LENGTH} letters, digits, - or _")
            return None
        return value

    def prefix(self, parent: JsonObject, key: str, path: str) -> str:
        if parent.get(key) is None:
            return "output"
        value = self.text(parent, key, path)
        if value is None:
            return "output"
        parts = value.rstrip("/").split("/")
        if value.startswith("/") or not value.strip("/"):
            self.refuse(path, "must not begin with / and must not be empty")
        elif ".." in parts or "." in parts or "" in parts:
            self.refuse(path, "must not have the parts .., . or empty ones")
        elif _CONTROL.search(value) or "\\" in value:
            self.refuse(path, "must not have control characters or backslashes")
        elif not _is_encodable(value) or len(value.encode()) > MAX_PREFIX_BYTES:
            self.refuse(path, f"must be at most {MAX_PREFIX_BYTES} bytes of UTF-8")
        return value.rstrip("/")

    def context(self, parent: JsonObject, path: str) -> Any:
        value = parent.get("context", {})
        # The escaped form, as SNS and DynamoDB carry it: a lone surrogate cannot be encoded otherwise.
        if len(json.dumps(value)) > MAX_CONTEXT_BYTES:
            self.refuse(path, f"must be at most {MAX_CONTEXT_BYTES // 1024} KiB as JSON")
            return {}
        return value

    def known_keys(self, parent: JsonObject, known: Iterable[str], path: str) -> None:
        known = list(known)
        for key in parent:
            if len(self._errors) == MAX_ERRORS:
                return
            if key not in known:
                hint = did_you_mean(key, known) or f" Known: {', '.join(known)}."
                self.refuse(f"{path}.{key}" if path else key, f"is not a field of this.{hint}")


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest of `known`, with a space before it; empty if none is near."""
    # The search takes seconds for a text of megabytes, and no name is near one.
    near = difflib.get_close_matches(text, known, n=1) if len(text) <= _LONGEST_NAME else []
    return f" Did you mean {near[0]}?" if near else ""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
