"""The configuration's reference as a file to copy from, and as a page to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any

import yaml
from pydantic import BaseModel

from sdfleet.config import Config
from sdfleet.config.description import Entry, entries, one_line

_WIDTH = 110
_NOTICE = "Written by `python -m sdfleet_cli.reference`; a test fails when it is not current."
_YAML_HEAD = f"""\
# yaml-language-server: $schema=config.schema.json
# Every key with its default. What you do not set has the value that stands here; set only what differs.
# {_NOTICE}
"""
_PAGE_HEAD = f"""\
# Configuration

{_NOTICE}

`config/config.yaml` is the one file to edit; what it leaves out has the default. `sdfleet config check FILE` tells
everything that is wrong with one, with line and nearest key, and `sdfleet config convert FILE` makes one of the EKS
guidance's. The same as a file to copy from: [config.reference.yaml](../../config/config.reference.yaml). Editors that
know `config/config.schema.json` (named in the first line of the file) complete and check while you type.
"""


def reference_yaml() -> str:
    return _YAML_HEAD + "\n".join(_lines(Config, Config(), "")) + "\n"


def reference_page() -> str:
    return _PAGE_HEAD + "".join(_tables("the file", Config))


def _lines(section: type[BaseModel], values: BaseModel, indent: str) -> Iterator[str]:
    for number, (entry, value) in enumerate(zip(entries(section), dict(values).values(), strict=True)):
        if number or not indent:
            yield ""
        yield from _comments(entry, indent)
        if isinstance(value, BaseModel):
            yield f"{indent}{entry.key}:"
            yield from _lines(type(value), value, indent + "  ")
        elif entry.section is not None and entry.is_list and value:
            yield f"{indent}{entry.key}:"
            yield from _items(entry.section, value, indent + "  ")
        else:
            yield f"{indent}{entry.key}: {_shown(value)}"
            if entry.section is not None:
                yield from _example(entry, indent)


def _items(section: type[BaseModel], values: tuple[BaseModel, ...], indent: str) -> Iterator[str]:
    if len(values) > 1:
        # Of several alike each is one line, below what their keys mean.
        yield from _keys_in_words(section, indent)
        for value in values:
            yield f"{indent}- {{{', '.join(f'{key}: {_shown(item)}' for key, item in _dumped(value).items())}}}"
        return
    lines = list(_lines(section, values[0], indent + "  "))
    first = next(index for index, line in enumerate(lines) if not line.lstrip().startswith("#"))
    lines[first] = f"{indent}- {lines[first].lstrip()}"
    yield from lines


def _example(entry: Entry, indent: str) -> Iterator[str]:
    """The keys of a section of which there is none by default."""
    if entry.section is None:
        return
    for number, inner in enumerate(entries(entry.section)):
        mark = ("- " if number == 0 else "  ") if entry.is_list else ""
        yield from _wrapped(f"{mark}{inner.key}: {inner.meaning} ({inner.allowed})", f"{indent}#   ", hanging="    ")


def _keys_in_words(section: type[BaseModel], indent: str) -> Iterator[str]:
    for inner in entries(section):
        yield from _wrapped(f"{inner.key}: {inner.meaning} ({inner.allowed})", f"{indent}# ", hanging="  ")


def _comments(entry: Entry, indent: str) -> list[str]:
    text = entry.meaning if entry.section is not None else f"{entry.meaning} ({entry.allowed})"
    return _wrapped(text, f"{indent}# ")


def _wrapped(text: str, margin: str, *, hanging: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=margin, subsequent_indent=margin + hanging, break_on_hyphens=False
    )


def _tables(name: str, section: type[BaseModel]) -> Iterator[str]:
    meaning = one_line(section.__doc__) if section is not Config else "The file's own keys."
    yield f"\n## {name}\n\n{meaning}\n\n| key | default | may be | meaning |\n|---|---|---|---|\n"
    for entry in entries(section):
        yield f"| `{entry.key}` | {_default(entry)} | {_cell(entry.allowed)} | {_cell(entry.meaning)} |\n"
    for entry in entries(section):
        if entry.section is not None:
            prefix = "" if section is Config else f"{name}."
            yield from _tables(f"{prefix}{entry.key}{'[]' if entry.is_list else ''}", entry.section)


def _default(entry: Entry) -> str:
    if entry.is_required:
        return "required"
    if isinstance(entry.default, BaseModel):
        return "below"
    if entry.section is not None and entry.default:
        return "<br>".join(f"`{_shown(_brief(item))}`" for item in entry.default)
    return f"`{_shown(entry.default)}`"


def _brief(section: BaseModel) -> dict[str, Any]:
    return section.model_dump(by_alias=True, exclude_unset=True, mode="json")


def _dumped(section: BaseModel) -> dict[str, Any]:
    return section.model_dump(by_alias=True, mode="json")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _shown(value: Any) -> str:
    """As it would be written in YAML, on one line."""
    if isinstance(value, Enum):
        value = value.value
    elif isinstance(value, tuple):
        value = list(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("...\n").strip()
