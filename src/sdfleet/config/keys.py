"""Which keys may stand where, read from the model itself: a new section needs no second list."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sdfleet.domain.content import Path


def keys_at(section: type[BaseModel], path: Path) -> list[str]:
    """The keys that may stand in the section at `path`, from `section` downwards."""
    for part in path:
        if isinstance(part, str):
            inner = section_of(_field(section, part).annotation)
            if inner is None:
                return []
            section = inner
    return [key_of(name, field) for name, field in section.model_fields.items()]


def key_of(name: str, field: FieldInfo) -> str:
    return field.alias or name


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds: itself, in a list, or unless null."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section_of, typing.get_args(annotation))), None)


def _field(section: type[BaseModel], key: str) -> FieldInfo:
    return next(field for name, field in section.model_fields.items() if key in (name, field.alias))
