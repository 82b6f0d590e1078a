"""Whatever stands in a file, there is an answer and no crash."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdfleet.config import Config
from sdfleet.config.conversion import convert
from sdfleet.config.description import entries
from sdfleet.config.loading import problems_in
from sdfleet.config.problem import Problem

#: Few characters, but those that mean something to YAML, a shell, a placeholder or a size.
_TEXT = st.text("aG1 .:/-_<>${}'\"", max_size=8)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _TEXT
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)


def _keys(section: Any = Config) -> set[str]:
    found = set()
    for entry in entries(section):
        found.add(entry.key)
        if entry.section is not None:
            found |= _keys(entry.section)
    return found


_OF_THE_GUIDANCE = """extraValues runtime karpenter provisioner nodeTemplate dataVolume scaling inferenceApi image
queueLength cooldownPeriod instanceType capacityType volumeSize commandArguments extraEnv dynamicModelRuntime enabled"""
_KEYS = sorted({*_keys(), *_OF_THE_GUIDANCE.split()})
_FILES = st.dictionaries(
    st.sampled_from(_KEYS),
    st.recursive(
        _VALUES,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
        max_leaves=12,
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_FILES)
def test_any_values_are_sound_or_have_problems_that_name_a_place(values: dict[str, Any]) -> None:
    problems = problems_in(values)
    assert all(problem.text for problem in problems)
    if not problems:
        assert isinstance(Config.model_validate(values), Config)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_FILES)
def test_any_file_is_converted_with_notes(values: dict[str, Any]) -> None:
    conversion = convert(values)
    assert all(isinstance(note, Problem) for note in (*conversion.notes, *conversion.problems))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_FILES)
def test_any_runtime_of_the_guidance_is_converted_with_notes(extra: dict[str, Any]) -> None:
    runtime = {"name": "a", "type": "sdwebui", "extraValues": {"runtime": extra, "karpenter": extra}}
    assert len(convert({"modelsRuntime": [runtime]}).values["modelsRuntime"]) == 1
