"""Reads config/config.yaml. Everything wrong is reported at once, one line each, with file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sdfleet.config.keys import keys_at
from sdfleet.config.model import RULES, Config
from sdfleet.config.problem import Problem
from sdfleet.config.rules import problems_of
from sdfleet.config.section import MEANING
from sdfleet.config.source import Source
from sdfleet.domain.content import Path
from sdfleet.errors import ConfigError

#: Keys of the EKS guidance (its config.yaml, modelsRuntime) that mean something to Kubernetes only.
_EKS_KEYS = {
    "namespace": "there are no Kubernetes namespaces here; remove it",
    "chartRepository": "there are no Helm charts here; remove it",
    "chartVersion": "there are no Helm charts here; remove it",
    "extraValues": "there are no Helm charts here; remove it with everything below it",
}
#: What pydantic's errors say here, after "must be".
_MEANINGS = {
    "string_type": "text; quote it if it looks like something else",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "enum": "{expected}",
    "tuple_type": "a list",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    MEANING: "{meaning}",
}
_LONGEST_VALUE = 60


def load(path: FilePath) -> Config:
    """Raises:
    ConfigError: every problem, one a line: `config/config.yaml:12: modelsRuntime[0].name is ...; ...`.
    """
    source = Source.read(path)
    problems = [*source.problems, *problems_in(source.values)]
    if problems:
        raise ConfigError(_lines(path, source, problems))
    return Config.model_validate(source.values)


def problems_in(values: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with the values of a file."""
    try:
        Config.model_validate(values)
    except ValidationError as error:
        for details in error.errors():
            if details["type"] == RULES:
                return list(details["ctx"]["problems"])
        # The model does not look at what must fit together before each value is right by itself.
        return [*map(_problem, _causes(error.errors())), *problems_of(values)]
    return []


def problem_lines(path: FilePath, problems: Iterable[Problem]) -> str:
    """One line each, with the file and the line in it."""
    return _lines(path, Source.read(path), problems)


def _lines(path: FilePath, source: Source, problems: Iterable[Problem]) -> str:
    lines = sorted((source.line(problem.path), problem.text) for problem in problems)
    return "\n".join(f"{path}:{line}: {_sentence(text)}" for line, text in lines)


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without a list's being too short, where it is so for its wrong entries."""
    paths = [details["loc"] for details in errors]
    return [
        details
        for details in errors
        if details["type"] != "too_short" or not any(_is_below(path, details["loc"]) for path in paths)
    ]


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _problem(details: ErrorDetails) -> Problem:
    path, kind = details["loc"], details["type"]
    if kind == "extra_forbidden":
        return Problem(path, _unknown_key(path))
    if kind == "missing":
        return Problem(path, f"is missing; every {'entry of the list' if _in_list(path) else 'such section'} needs it")
    meaning = _MEANINGS.get(kind)
    if meaning is None:
        return Problem(path, f"does not fit: {details['msg']}")
    wanted = meaning.format_map(details.get("ctx", {}))
    return Problem(path, f"is {_shown(details['input'])}; it must be {wanted}")


def _unknown_key(path: Path) -> str:
    key = str(path[-1])
    if path[0] == "modelsRuntime" and key in _EKS_KEYS:
        return f"is a key of the EKS guidance only: {_EKS_KEYS[key]}, or run sdfleet config convert on the file"
    keys = keys_at(Config, path[:-1])
    by_lower_case = {name.lower(): name for name in keys}
    nearest = difflib.get_close_matches(key.lower(), by_lower_case, n=1)
    if nearest:
        return f"is no known key; did you mean {by_lower_case[nearest[0]]}?"
    return f"is no known key; there are {', '.join(keys)}"


def _in_list(path: Path) -> bool:
    return len(path) > 1 and isinstance(path[-2], int)


def _shown(value: Any) -> str:
    """As it would be written in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    if value is None:
        text = "empty"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
