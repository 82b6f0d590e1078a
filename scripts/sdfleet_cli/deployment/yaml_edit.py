"""Sets single values in a YAML file that a person edits: comments, order and all other lines stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

#: The file as the seeds' scripts make it indents by two.
_INDENT = 2


def line_of(text: str, path: Sequence[str | int]) -> int:
    """The line, from 1, where the value at `path` stands; the file's first line if there is none."""
    node = _find(yaml.compose(text, Loader=yaml.SafeLoader), path)
    return 1 if node is None else node.start_mark.line + 1


def with_value(text: str, path: Sequence[str | int], value: str) -> str:
    """`text` with the scalar at `path` replaced, or written where its section ends if the key is not there.

    Raises:
        KeyError: a list in the path has no such entry, or a section is written in one line.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    node = _find(root, path)
    written = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
    if node is not None:
        if not isinstance(node, yaml.ScalarNode):
            raise KeyError(f"{path} holds no single value")
        start, end = node.start_mark.index, node.end_mark.index
        # An empty value (`key:`) has no place of its own.
        return f"{text[:start]}{'' if end > start or text[start - 1 : start].isspace() else ' '}{written}{text[end:]}"
    for depth in range(len(path) - 1, -1, -1):
        section = _find(root, path[:depth])
        if section is not None:
            return _with_keys(text, section, path[depth:], written, is_root=depth == 0)
    return _as_lines(path, written, 0)


def _with_keys(text: str, section: yaml.Node, keys: Sequence[str | int], written: str, *, is_root: bool) -> str:
    if not isinstance(section, yaml.MappingNode) or section.flow_style:
        raise KeyError(f"{list(keys)} has no place in a list or in a section that is written in one line")
    column = 0 if is_root else section.start_mark.column
    lines = text.splitlines(keepends=True)
    last = max((value.end_mark for _, value in section.value), key=lambda mark: (mark.line, mark.column))
    at = last.line + (1 if last.column else 0)
    if lines and at >= len(lines) and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    # A block value's mark is where the next token begins: blank lines and comments belong to what follows.
    while at > 0 and at <= len(lines) and (not lines[at - 1].strip() or lines[at - 1].lstrip().startswith("#")):
        at -= 1
    lines.insert(at, _as_lines(keys, written, column))
    return "".join(lines)


def _as_lines(keys: Sequence[str | int], written: str, column: int) -> str:
    if any(isinstance(key, int) for key in keys):
        raise KeyError(f"{list(keys)}: the list has no such entry")
    lines = [f"{' ' * (column + _INDENT * depth)}{key}:" for depth, key in enumerate(keys)]
    return "\n".join(lines) + f" {written}\n"


def _find(node: yaml.Node | None, path: Sequence[str | int]) -> yaml.Node | None:
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part] if part < len(node.value) else None
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), None)
        else:
            return None
    return node
