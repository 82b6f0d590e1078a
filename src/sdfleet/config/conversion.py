"""A configuration of the EKS guidance as one of ours, and a report of what has no counterpart.

Its keys are those of the guidance's config.schema.yaml and of its chart's values.yaml, and the older
`dynamicModelRuntime` section.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdfleet.config.conversion_runtime import converted_runtime
from sdfleet.config.eks_section import EksSection
from sdfleet.config.loading import problems_in
from sdfleet.config.problem import Problem
from sdfleet.domain.content import Path

_PLACEHOLDER = re.compile(r"<[^<>]+>|\$\{[^{}]+\}")


@dataclass(frozen=True)
class Conversion:
    #: Our keys, as they are to stand in the file.
    values: dict[str, Any]
    #: What was dropped or changed its meaning, by its path in the guidance's file.
    notes: tuple[Problem, ...]
    #: What must still be filled in or mended, by its path in ours.
    problems: tuple[Problem, ...]


def convert(values: Mapping[str, Any]) -> Conversion:
    """`values`: what stands in the guidance's config.yaml."""
    old = EksSection((), dict(values))
    notes: list[Problem] = []
    new: dict[str, Any] = {
        key: value for key in ("stackName", "modelBucketArn") if (value := old.take(key)) is not None
    }
    if (gateway := old.take("APIGW")) is not None:
        new["APIGW"] = gateway
    is_china = str(new.get("modelBucketArn", "")).startswith("arn:aws-cn:")
    if is_china:
        notes.append(
            Problem(
                ("modelBucketArn",),
                "is in China: there is no API without a licensed domainName there, requests come through the request"
                " topic; links are signed S3 links",
            )
        )
    tags: dict[str, Any] = {}
    runtimes = [
        converted_runtime(section, tags, notes, is_china=is_china) for section in (*_listed(old), *_dynamic(old, notes))
    ]
    if runtimes:
        new["modelsRuntime"] = runtimes
    if tags:
        new["tags"] = tags
    notes += old.without_counterpart()
    return Conversion(new, tuple(notes), (*_placeholders(new), *_real_problems(new)))


def _listed(old: EksSection) -> list[EksSection]:
    entries = old.take("modelsRuntime") or []
    sections = [
        EksSection(("modelsRuntime", index), dict(entry))
        for index, entry in enumerate(entries)
        if isinstance(entry, Mapping)
    ]
    old.inner += sections
    return sections


def _dynamic(old: EksSection, notes: list[Problem]) -> list[EksSection]:
    if "dynamicModelRuntime" not in old.left:
        return []
    section = old.section("dynamicModelRuntime")
    if not section.take("enabled"):
        # Switched off: nothing below it means anything.
        section.left.clear()
        return []
    section.left.update(name="dynamic", dynamicModel=True)
    notes.append(
        Problem(
            section.path, "becomes a runtime named dynamic; v1alpha1 requests for models of no other runtime go there"
        )
    )
    return [section]


def _real_problems(new: Mapping[str, Any]) -> list[Problem]:
    filled = {problem.path for problem in _placeholders(new)}
    return [problem for problem in problems_in(new) if problem.path not in filled]


def _placeholders(value: Any, path: Path = ()) -> list[Problem]:
    if isinstance(value, Mapping):
        return [problem for key, item in value.items() for problem in _placeholders(item, (*path, key))]
    if isinstance(value, list):
        return [problem for index, item in enumerate(value) for problem in _placeholders(item, (*path, index))]
    if isinstance(value, str) and (match := _PLACEHOLDER.search(value)):
        return [Problem(path, f"holds the placeholder {match[0]}; put yours in its place")]
    return []
