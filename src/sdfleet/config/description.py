"""The model told in words: each key with its default, what it may be, and why. For the reference and the schema."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sdfleet.config.keys import key_of, section_of
from sdfleet.config.model import Config
from sdfleet.config.section import Kind

_UNITS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Entry:
    key: str
    #: Meaning, unit and reason, on one line.
    meaning: str
    #: What may stand there, in words.
    allowed: str
    is_required: bool
    #: As Python has it; None where it is required, too.
    default: Any
    #: What it holds, if it holds keys of its own.
    section: type[BaseModel] | None
    is_list: bool


def entries(section: type[BaseModel]) -> Iterator[Entry]:
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        yield Entry(
            key=key_of(name, field),
            meaning=_meaning(field, inner),
            allowed=_allowed(field),
            is_required=field.is_required(),
            default=None if field.is_required() else field.get_default(call_default_factory=True),
            section=inner,
            is_list=typing.get_origin(field.annotation) is tuple,
        )


def schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors."""
    tree = Config.model_json_schema()
    _tidy(tree)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "sdfleet configuration", **tree}


def one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _meaning(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    return one_line(field.description or (inner.__doc__ if inner is not None else None))


def _allowed(field: FieldInfo) -> str:
    words = "; ".join(dict.fromkeys(_words(field.annotation, field.metadata)))
    return words.replace("; or null", " or null")


def _words(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    kinds = [item.meaning for item in metadata if isinstance(item, Kind)]
    if origin is typing.Annotated:
        yield from _words(arguments[0], list(arguments[1:]))
    elif origin is tuple:
        yield f"a list{_bounds(metadata, ' entries')} of {' '.join(_words(arguments[0], []))}"
    elif origin is dict:
        yield f"keys ({' '.join(_words(arguments[0], []))}) and values ({' '.join(_words(arguments[1], []))})"
    elif arguments:
        for argument in arguments:
            yield "or null" if argument is type(None) else " ".join(_words(argument, metadata))
    elif kinds:
        yield from kinds
    elif section_of(annotation) is not None:
        yield "keys and values"
    elif issubclass(annotation, StrEnum):
        yield ", ".join(annotation)
    else:
        yield f"{_UNITS[annotation]}{_bounds(metadata, '')}"


def _bounds(metadata: list[Any], unit: str) -> str:
    """With a space before it, or nothing."""
    least = _bound(metadata, annotated_types.Ge, "ge") or _bound(metadata, annotated_types.MinLen, "min_length")
    most = _bound(metadata, annotated_types.Le, "le") or _bound(metadata, annotated_types.MaxLen, "max_length")
    words = []
    if above := _bound(metadata, annotated_types.Gt, "gt"):
        words.append(f"above {above}")
    if least and most:
        words.append(f"from {least} to {most}{unit}")
    elif least or most:
        words.append(f"at least {least}{unit}" if least else f"at most {most}{unit}")
    if step := _bound(metadata, annotated_types.MultipleOf, "multiple_of"):
        words.append(f"in steps of {step}")
    return "".join(f" {word}" if number == 0 else f", {word}" for number, word in enumerate(words))


def _bound(metadata: list[Any], kind: type, name: str) -> str | None:
    return next((str(getattr(item, name)) for item in metadata if isinstance(item, kind)), None)


def _tidy(node: Any) -> None:
    """Without pydantic's titles, which repeat the keys, and the defaults of whole sections, which stand in them."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    elif isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if isinstance(description := node.get("description"), str):
            node["description"] = one_line(description)
        if isinstance(default := node.get("default"), dict | list) and default:
            _drop_nested_default(node, default)
        for item in list(node.values()):
            _tidy(item)


def _drop_nested_default(node: dict[str, Any], default: Any) -> None:
    if isinstance(default, dict) or any(isinstance(item, dict) for item in default):
        del node["default"]
