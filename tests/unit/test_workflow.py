from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfleet.domain.workflow import (
    MAX_NODE_ID_LENGTH,
    MAX_NODES,
    MAX_PROBLEMS,
    looks_like_workflow,
    problems,
    unwrap_workflow,
)

WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 7922944}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "px"}},
}


def a_workflow(**nodes: Any) -> dict[str, Any]:
    """The workflow above; `_9=...` adds or replaces node 9."""
    return deepcopy(WORKFLOW) | {name.removeprefix("_"): node for name, node in nodes.items()}


def paths(content: dict[str, Any]) -> list[str]:
    return [problem.path for problem in problems(content, "task.content")]


def messages(content: dict[str, Any]) -> str:
    return "; ".join(problem.message for problem in problems(content, "task.content"))


def test_a_sound_workflow_has_no_problems() -> None:
    assert problems(a_workflow(), "task.content") == []


def test_a_body_of_post_prompt_is_unwrapped() -> None:
    body = {"prompt": a_workflow(), "client_id": "me", "extra_data": {"extra_pnginfo": None}, "front": True}
    assert unwrap_workflow(body) == WORKFLOW


def test_unwrapping_twice_changes_nothing() -> None:
    once = unwrap_workflow({"prompt": a_workflow()})
    assert unwrap_workflow(once) == once


def test_a_node_with_the_id_prompt_is_no_wrapper() -> None:
    graph = {"prompt": {"class_type": "EmptyImage", "inputs": {}}}
    assert unwrap_workflow(graph) == graph


def test_the_test_patterns_pace_is_not_a_node() -> None:
    assert unwrap_workflow(a_workflow(test_pattern_seconds=0.5)) == WORKFLOW
    assert unwrap_workflow({"prompt": a_workflow(), "test_pattern_seconds": 2}) == WORKFLOW
    assert paths(a_workflow(test_pattern_seconds=0.5)) == []


def test_paths_of_a_wrapped_workflow_are_those_of_the_request() -> None:
    broken = a_workflow(_9={"class_type": "ImageInvert"})
    assert paths({"prompt": broken}) == ["task.content.prompt.9.inputs"]
    assert paths(broken) == ["task.content.9.inputs"]


def test_workflows_are_told_from_web_ui_requests() -> None:
    assert looks_like_workflow(a_workflow())
    assert looks_like_workflow({"prompt": a_workflow(), "client_id": "me"})
    assert not looks_like_workflow({"prompt": "a dog", "steps": 16, "alwayson_scripts": {}})
    assert not looks_like_workflow({})


def test_an_empty_workflow_is_named_as_such() -> None:
    assert paths({}) == ["task.content"]
    assert "is empty" in messages({})
    assert "is empty" in messages({"prompt": {}})


def test_an_editors_file_is_named_with_the_way_to_export_it() -> None:
    text = messages({"last_node_id": 3, "nodes": [], "links": [], "version": 0.4})
    assert "editor" in text
    assert "Export (API)" in text


def test_a_web_ui_request_is_told_what_a_pipeline_task_takes() -> None:
    assert "no ComfyUI workflow" in messages({"prompt": "a dog", "steps": 16})


@pytest.mark.parametrize("inputs", [None, [], "x"])
def test_a_node_needs_an_inputs_object_even_where_no_output_needs_the_node(inputs: Any) -> None:
    assert paths(a_workflow(_9={"class_type": "ImageInvert", "inputs": inputs})) == ["task.content.9.inputs"]


@pytest.mark.parametrize("class_type", [None, "", " ", 5, ["SaveImage"]])
def test_a_node_needs_the_name_of_its_class(class_type: Any) -> None:
    assert paths(a_workflow(_9={"class_type": class_type, "inputs": {}})) == ["task.content.9.class_type"]


@pytest.mark.parametrize("node", [5, None, "x", []])
def test_a_node_is_an_object(node: Any) -> None:
    assert paths(a_workflow(_9=node)) == ["task.content.9"]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (["77", 0], "not in the workflow"),
        (["2"], "two entries"),
        (["2", 0, 0], "two entries"),
        (["2", -1], "by its number"),
        (["2", 1.0], "by its number"),
        (["2", True], "by its number"),
        (["2", "IMAGE"], "by its number"),
    ],
)
def test_a_link_names_an_existing_node_and_the_number_of_an_output(link: list[Any], said: str) -> None:
    content = a_workflow(_3={"class_type": "SaveImage", "inputs": {"images": link}})
    assert paths(content) == ["task.content.3.inputs.images"]
    assert said in messages(content)


@pytest.mark.parametrize("value", [[512, 512], [], ["a", "b"], {"__value__": ["77", 0]}, [[0.1, 0.2]]])
def test_a_list_that_is_no_link_is_left_to_comfyui(value: Any) -> None:
    assert paths(a_workflow(_9={"class_type": "Any", "inputs": {"value": value}})) == []


def test_a_cycle_names_its_nodes_and_no_others() -> None:
    content = a_workflow(
        _1={"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        _8={"class_type": "ImageInvert", "inputs": {"image": ["9", 0]}},
        _9={"class_type": "ImageInvert", "inputs": {"image": ["9", 0]}},
    )
    assert paths(content) == ["task.content.1", "task.content.2", "task.content.9"]
    assert "cycle" in messages(content)


def test_a_long_chain_is_no_cycle() -> None:
    chain = {
        str(n): {"class_type": "ImageInvert", "inputs": {"image": [str(n - 1), 0]} if n else {}} for n in range(1_999)
    }
    assert problems(chain, "") == []


@pytest.mark.parametrize("node_id", ["", "a\nb", "\ud800", "x" * (MAX_NODE_ID_LENGTH + 1)])
def test_odd_node_ids_are_refused_without_repeating_them(node_id: str) -> None:
    assert paths(a_workflow() | {node_id: {"class_type": "Any", "inputs": {}}}) == ["task.content"]


def test_the_nodes_of_a_subgraph_keep_their_joined_ids() -> None:
    assert paths(a_workflow() | {"12:3": {"class_type": "Any", "inputs": {}}}) == []


def test_too_many_nodes_are_one_problem() -> None:
    content = {str(n): {"class_type": "Any"} for n in range(MAX_NODES + 1)}
    assert paths(content) == ["task.content"]


def test_values_nested_too_deep_are_refused() -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]
    assert paths(a_workflow(_9={"class_type": "Any", "inputs": {"value": value}})) == ["task.content.9.inputs.value"]


@pytest.mark.parametrize("prefix", ["/etc/x", "\\x", "C:\\x", "../x", "a/../../x", "..", "a\x00b"])
def test_a_file_name_prefix_stays_in_the_output_folder(prefix: str) -> None:
    content = a_workflow(_3={"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": prefix}})
    assert paths(content) == ["task.content.3.inputs.filename_prefix"]


@pytest.mark.parametrize("prefix", ["px", "a/b/c", "a/../b", "%date:yyyy%/x", "..x", ""])
def test_usual_file_name_prefixes_pass(prefix: str) -> None:
    content = a_workflow(_3={"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": prefix}})
    assert paths(content) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"x": float("-inf")}]])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    assert paths(a_workflow(_9={"class_type": "Any", "inputs": {"value": value}})) == ["task.content.9.inputs.value"]


_SCRAPS = st.none() | st.booleans() | st.integers(0, 3) | st.floats() | st.sampled_from(["1", "2", "class_type", "x"])
_VALUES = st.recursive(
    _SCRAPS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["class_type", "inputs", "prompt", "nodes", "links", "1", "2"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["1", "2", "3", "prompt", "nodes", "links"]), _VALUES))
def test_whatever_is_let_through_is_a_graph_of_nodes(content: dict[str, Any]) -> None:
    if not problems(content, "task.content"):
        for node in unwrap_workflow(content).values():
            assert isinstance(node["class_type"], str)
            assert isinstance(node["inputs"], dict)


def test_all_problems_are_told_at_once() -> None:
    content = a_workflow(_3={"inputs": {"images": ["77", 0], "filename_prefix": "/x"}}, _9=5)
    assert paths(content) == [
        "task.content.3.class_type",
        "task.content.3.inputs.images",
        "task.content.3.inputs.filename_prefix",
        "task.content.9",
    ]


def test_the_number_of_problems_told_is_bounded() -> None:
    assert len(problems(a_workflow() | {f"n{n}": 5 for n in range(200)}, "task.content")) == MAX_PROBLEMS
