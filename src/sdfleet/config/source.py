"""A YAML file as it stands: its values, and on which line each of them is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Self

import yaml

from sdfleet.config.problem import Problem
from sdfleet.domain.content import Path
from sdfleet.errors import ConfigError


@dataclass(frozen=True)
class Source:
    values: dict[str, Any]
    #: Keys that stand twice, and keys that are no text.
    problems: tuple[Problem, ...]
    _root: yaml.Node = field(repr=False)
    #: Of problems that are not where their path says: a doubled key is found at its second place.
    _lines: dict[Path, int] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: FilePath) -> Self:
        """Raises:
        ConfigError: no file, no YAML, or no mapping in it.
        """
        text = _text(path)
        try:
            loader = yaml.SafeLoader(text)
            try:
                root = loader.get_single_node()
                if root is None:
                    raise ConfigError(
                        f"{path}:1: the file is empty; config/config.yaml in the repository is an example."
                    )
                if not isinstance(root, yaml.MappingNode):
                    raise ConfigError(
                        f"{path}:{_line(root)}: the file must hold keys and values, such as stackName: sdfleet."
                    )
                found = list(_doubtful_keys(root, (), set()))
                values = loader.construct_document(root)
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            what = " ".join(filter(None, (error.context, error.problem)))
            raise ConfigError(f"{path}:{line}: this is no valid YAML: {what}.") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{path}:1: this is no valid YAML: {error}.") from error
        return cls(
            values={key: value for key, value in values.items() if isinstance(key, str)},
            problems=tuple(problem for problem, _ in found),
            _root=root,
            _lines={problem.path: line for problem, line in found},
        )

    def line(self, path: Path) -> int:
        """Where the value at `path` stands; for a missing one, where its section begins."""
        if path in self._lines:
            return self._lines[path]
        node, line = self._root, 1
        for part in path:
            step = _step(node, part)
            if step is None:
                break
            line, node = step
        return line


def _text(path: FilePath) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; name another, or copy the repository's config/config.yaml."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the file is not UTF-8 text; save it as such.") from error
    except OSError as error:
        raise ConfigError(f"{path}: the file cannot be read: {error.strerror}.") from error


def _doubtful_keys(node: yaml.Node, path: Path, seen: set[int]) -> Iterator[tuple[Problem, int]]:
    if id(node) in seen:
        # An alias: reported at its anchor.
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _doubtful_keys(item, (*path, index), seen)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name = str(key.value)
        inner = (*path, name)
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.tag != "tag:yaml.org,2002:str":
            yield Problem(inner, "is a key that is no text; quote it"), _line(key)
        elif first.setdefault(name, _line(key)) != _line(key):
            yield Problem(inner, f"stands twice, on line {first[name]} already; remove one"), _line(key)
        yield from _doubtful_keys(value, inner, seen)


def _step(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """The line and the node of an entry; a key's line is that of the key."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return _line(node.value[part]), node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next(((_line(key), value) for key, value in node.value if key.value == part), None)
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
