"""What must hold between the keys of a configuration. Works on values as they stand in the file, right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdfleet.domain.content import Path, format_path
from sdfleet.domain.names import camel_case, model_stem
from sdfleet.domain.task import RuntimeType


@dataclass(frozen=True)
class Problem:
    #: Where: `("modelsRuntime", 0, "name")`; empty for the whole file.
    path: Path
    #: What is wrong and what to do; reads on from the path.
    message: str

    @property
    def text(self) -> str:
        return f"{format_path(self.path)} {self.message}" if self.path else self.message


def runtime_problems(runtimes: Any) -> list[Problem]:
    if not isinstance(runtimes, Sequence) or isinstance(runtimes, str):
        return []
    if not runtimes:
        return [Problem(("modelsRuntime",), "is an empty list; name at least one runtime, or remove the key")]
    entries = [(index, runtime) for index, runtime in enumerate(runtimes) if isinstance(runtime, Mapping)]
    problems = [
        Problem(
            ("modelsRuntime", index, "modelFilename"),
            "is missing; an sdwebui runtime needs the file name of its model, or dynamicModel: true",
        )
        for index, runtime in entries
        if runtime.get("type") == RuntimeType.SDWEBUI
        and not runtime.get("modelFilename")
        and not runtime.get("dynamicModel")
    ]
    return [
        *problems,
        # Output names are in camel case: `sd-xl` and `sd--xl` would be one there.
        *_doubles(entries, "name", camel_case, "runtimes need different names, also in camel case; rename one"),
        *_doubles(entries, "modelFilename", model_stem, "v1alpha1 requests are routed by it; name each model once"),
    ]


def _doubles(
    entries: Sequence[tuple[int, Mapping[str, Any]]], key: str, form: Callable[[str], str], advice: str
) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for index, runtime in entries:
        value = runtime.get(key)
        if not isinstance(value, str):
            continue
        earlier = first.setdefault(form(value), index)
        if earlier != index:
            path = ("modelsRuntime", index, key)
            problems.append(Problem(path, f"is {value!r}, as modelsRuntime[{earlier}] has it; {advice}"))
    return problems
