"""The AWS query protocol: forms in, XML out, both of nested values (botocore, `parsers.py` and `serialize.py`)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from xml.sax.saxutils import escape

from sdfleet_local.scaling_errors import CallRefused, ValidationError

T = TypeVar("T")

_NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
_LIST = "member"


@dataclass(frozen=True)
class Request:
    """A call's parameters, or a structure among them."""

    values: Mapping[str, Any]

    @classmethod
    def of_form(cls, form: Mapping[str, str]) -> Request:
        """`A.member.1.B=x` is a list named A of structures with a B."""
        root: dict[str, Any] = {}
        for path, value in form.items():
            *parents, last = path.split(".")
            place = root
            for parent in parents:
                inner = place.setdefault(parent, {})
                if not isinstance(inner, dict):
                    raise ValidationError(f"{path} contradicts another parameter")
                place = inner
            place[last] = value
        lists = {name: _with_lists(value) for name, value in root.items()}
        return cls(lists)

    @property
    def action(self) -> str:
        return str(self.values.get("Action", ""))

    def has(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if isinstance(value, str) and value else None

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise _violated(name, "null", "Member must not be null")
        return value

    def one_of(self, name: str, known: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value not in known:
            raise _violated(name, value, f"Member must satisfy enum value set: [{', '.join(known)}]")
        return value

    def number(self, name: str) -> float | None:
        value = self.text(name)
        try:
            return None if value is None else float(value)
        except ValueError as error:
            raise ValidationError(f"{name} must be a number, not {value}") from error

    def integer(self, name: str, *, least: int | None = 0, most: int | None = None) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not value.lstrip("-").isdigit():
            raise ValidationError(f"{name} must be a whole number, not {value}")
        number = int(value)
        if least is not None and number < least:
            raise _violated(name, value, f"Member must have value greater than or equal to {least}")
        if most is not None and number > most:
            raise _violated(name, value, f"Member must have value less than or equal to {most}")
        return number

    def flag(self, name: str) -> bool | None:
        value = self.one_of(name, ("true", "false"))
        return None if value is None else value == "true"

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.values.get(name) or []
        return tuple(str(value) for value in values) if isinstance(values, list) else ()

    def structures(self, name: str) -> tuple[Request, ...]:
        values = self.values.get(name) or []
        return tuple(Request(one) for one in values if isinstance(one, dict)) if isinstance(values, list) else ()

    def page(self, *, default: int, most: int) -> Page:
        """By MaxRecords and NextToken."""
        token = self.text("NextToken") or "0"
        if not token.isdigit():
            raise ValidationError(f"The NextToken {token} is not one of ours.")
        return Page(int(token), self.integer("MaxRecords", least=1, most=most) or default)

    def structure(self, name: str) -> Request | None:
        value = self.values.get(name)
        return Request(value) if isinstance(value, dict) else None


@dataclass(frozen=True)
class Page:
    first: int
    size: int

    def of(self, values: Sequence[T]) -> Sequence[T]:
        return values[self.first : self.first + self.size]

    def following(self, count: int) -> str | None:
        """The NextToken; None on the last page."""
        following = self.first + self.size
        return str(following) if following < count else None


def answer(action: str, result: Mapping[str, Any] | None = None) -> str:
    """The XML of a call that was carried out."""
    body = _element(f"{action}Result", result or {})
    metadata = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    return f'<{action}Response xmlns="{_NAMESPACE}">{body}{metadata}</{action}Response>'


def refusal(error: CallRefused) -> str:
    fields = {"Type": "Sender", "Code": error.code, "Message": str(error)}
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}">{_element("Error", fields)}'
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )


def zulu(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _with_lists(part) for name, part in value.items()}
    members = inner.get(_LIST)
    if set(inner) == {_LIST} and isinstance(members, dict) and all(index.isdigit() for index in members):
        return [members[index] for index in sorted(members, key=int)]
    return inner


def _element(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            text = str(value).lower()
        case Mapping():
            text = "".join(_element(field, part) for field, part in value.items())
        case list() | tuple():
            text = "".join(_element(_LIST, one) for one in value)
        case datetime():
            text = zulu(value)
        case _:
            text = escape(str(value))
    return f"<{name}>{text}</{name}>"


def _violated(name: str, value: str, constraint: str) -> ValidationError:
    field = name[0].lower() + name[1:]
    problem = f"Value '{value}' at '{field}' failed to satisfy constraint: {constraint}"
    if value == "null":
        problem = f"Value null at '{field}' failed to satisfy constraint: {constraint}"
    return ValidationError(f"1 validation error detected: {problem}")
