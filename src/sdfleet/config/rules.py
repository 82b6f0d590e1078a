"""What must hold between the keys of a configuration. Works on values as they stand in the file, right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sdfleet.config.fleet_rules import fleet_problems
from sdfleet.config.problem import Problem
from sdfleet.domain.content import Path
from sdfleet.domain.names import camel_case, model_stem
from sdfleet.domain.task import RuntimeType


def problems_of(values: Mapping[str, Any]) -> list[Problem]:
    """Of the whole file. What is absent is not missed here: the model puts its default in and asks again."""
    runtimes = values.get("modelsRuntime")
    problems = [*_runtime_problems(runtimes), *_network_problems(values.get("network")), *_api_problems(values)]
    problems += _output_problems(values.get("outputs"))
    for index, runtime in _mappings(runtimes):
        path: Path = ("modelsRuntime", index)
        problems += _code_problems(path, runtime)
        if isinstance(fleet := runtime.get("fleet"), Mapping):
            problems += fleet_problems((*path, "fleet"), fleet)
    return problems


def _mappings(entries: Any) -> list[tuple[int, Mapping[str, Any]]]:
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return []
    return [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Mapping)]


def _network_problems(network: Any) -> list[Problem]:
    if not isinstance(network, Mapping):
        return []
    if network.get("vpcId") and not network.get("subnetIds"):
        return [Problem(("network", "subnetIds"), "is missing; an existing VPC needs the subnets to launch in")]
    if network.get("subnetIds") and not network.get("vpcId"):
        return [Problem(("network", "vpcId"), "is missing; subnetIds belong to an existing VPC, name it")]
    return []


def _api_problems(values: Mapping[str, Any]) -> list[Problem]:
    if values.get("api") is False and values.get("domainName"):
        return [Problem(("domainName",), "is set while api is false; a domain is for the API, remove one of them")]
    return []


def _output_problems(outputs: Any) -> list[Problem]:
    if not isinstance(outputs, Mapping) or outputs.get("cdn") is not True or not outputs.get("bucketName"):
        return []
    return [
        Problem(
            ("outputs", "cdn"),
            "is true while bucketName names a bucket of yours, whose policy would have to let CloudFront in; remove"
            " cdn for signed S3 links, or bucketName for a new bucket behind CloudFront",
        )
    ]


def _code_problems(path: Path, runtime: Mapping[str, Any]) -> list[Problem]:
    images = runtime.get("images")
    own_image = images.get("runtime") if isinstance(images, Mapping) else None
    problems = []
    for key, kind in (("customNodes", RuntimeType.COMFYUI), ("extensions", RuntimeType.SDWEBUI)):
        if not runtime.get(key):
            continue
        if runtime.get("type") != kind:
            problems.append(Problem((*path, key), f"is for runtimes of type {kind} only; remove it"))
        elif own_image:
            problems.append(
                Problem(
                    (*path, key), "goes into the image that is built by us; put it into yours, or remove images.runtime"
                )
            )
    return problems


def _runtime_problems(runtimes: Any) -> list[Problem]:
    if not isinstance(runtimes, Sequence) or isinstance(runtimes, str):
        return []
    if not runtimes:
        return [Problem(("modelsRuntime",), "is an empty list; name at least one runtime, or remove the key")]
    entries = _mappings(runtimes)
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
