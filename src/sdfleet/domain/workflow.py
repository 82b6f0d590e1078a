"""ComfyUI workflows: the API-format graph inside a request, and everything wrong with it.

The guard is stricter than ComfyUI's own validation because some graphs pass that and then end its execution
thread, while its HTTP side stays healthy: a node without `inputs` on a branch that no output needs, for one.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sdfleet.domain.task import JsonObject
from sdfleet.errors import FieldError

#: The largest published workflows have a few hundred nodes.
MAX_NODES = 2_000
#: ComfyUI and its nodes recurse over values; real ones nest three deep.
MAX_DEPTH = 32
#: Subgraphs join the ids of their nodes with `:`; three levels of UUIDs fit.
MAX_NODE_ID_LENGTH = 128
#: Enough to mend a workflow in one go, little enough for an answer.
MAX_PROBLEMS = 50

#: What may stand beside `prompt` in a body of ComfyUI's `POST /prompt`; none of it is forwarded.
_POST_PROMPT_KEYS = {"prompt", "client_id", "prompt_id", "extra_data", "number", "front", "partial_execution_targets"}
#: Ours: how long the test pattern runtime pretends to work.
_TEST_PATTERN_SECONDS = "test_pattern_seconds"
#: Half a character (a lone surrogate) cannot be written to a file or a log either.
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")
_EXPORT = "export it from ComfyUI with File > Export (API), or Save (API Format) in older versions"


def unwrap_workflow(content: JsonObject) -> JsonObject:
    """The API-format graph of a request: its content, or the `prompt` of a body made for `POST /prompt`."""
    graph = content["prompt"] if _is_wrapped(content) else content
    return {key: value for key, value in graph.items() if key != _TEST_PATTERN_SECONDS}


def _is_wrapped(content: JsonObject) -> bool:
    prompt = content.get("prompt")
    beside = content.keys() - _POST_PROMPT_KEYS - {_TEST_PATTERN_SECONDS}
    return isinstance(prompt, dict) and not _is_node(prompt) and not beside


def _is_node(value: Any) -> bool:
    return isinstance(value, dict) and "class_type" in value


def looks_like_workflow(content: JsonObject) -> bool:
    """Whether something in it, or in its `prompt`, is a node: an object with a `class_type`."""
    prompt = content.get("prompt")
    inner = prompt.values() if isinstance(prompt, dict) else ()
    return any(map(_is_node, content.values())) or any(map(_is_node, inner))


def problems(content: JsonObject, at: str) -> list[FieldError]:
    """Everything wrong with the workflow in `content`, at most `MAX_PROBLEMS`, by paths that begin with `at`.

    Takes the request's content as it came (or a graph already unwrapped), so that paths are those of the request.
    """
    at = at.rstrip(".")
    if _is_wrapped(content):
        at = _joined(at, "prompt")
    graph = unwrap_workflow(content)
    whole = _problem_of_the_whole(graph)
    if whole:
        return [FieldError(at, whole)]
    return list(islice(_graph_problems(graph, at), MAX_PROBLEMS))


def _problem_of_the_whole(graph: JsonObject) -> str | None:
    if not graph:
        return f"is empty; a pipeline task takes a ComfyUI workflow in API format: {_EXPORT}"
    if isinstance(graph.get("nodes"), list) and isinstance(graph.get("links", []), list):
        return f"is a workflow in the format of ComfyUI's editor (nodes and links), which cannot run; {_EXPORT}"
    if not looks_like_workflow(graph):
        return f'is no ComfyUI workflow; it must be an object of {{"node id": {{"class_type", "inputs"}}}}: {_EXPORT}'
    if len(graph) > MAX_NODES:
        return f"has {len(graph)} nodes; at most {MAX_NODES} are accepted"
    return None


def _graph_problems(graph: JsonObject, at: str) -> Iterator[FieldError]:
    for node_id, node in graph.items():
        id_problem = _node_id_problem(node_id)
        if id_problem:
            yield FieldError(at, id_problem)
        else:
            yield from _node_problems(node, graph, _joined(at, node_id))
    for node_id in _in_a_cycle(graph):
        yield FieldError(
            _joined(at, node_id), "is part of a cycle: its inputs lead back to itself; cut one of the links"
        )


def _node_id_problem(node_id: str) -> str | None:
    if not node_id:
        return "has a node with an empty id; give it one"
    if len(node_id) > MAX_NODE_ID_LENGTH:
        return f"has a node id of {len(node_id)} characters; at most {MAX_NODE_ID_LENGTH} are accepted"
    if _CONTROL.search(node_id):
        return "has a node id with a control character in it; use letters and digits"
    return None


def _node_problems(node: Any, graph: JsonObject, at: str) -> Iterator[FieldError]:
    if not isinstance(node, dict):
        yield FieldError(at, "must be a node: an object with class_type and inputs")
        return
    class_type = node.get("class_type")
    if not isinstance(class_type, str) or not class_type.strip():
        yield FieldError(f"{at}.class_type", "must be the name of a node class")
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        yield FieldError(f"{at}.inputs", "must be an object; a node without inputs has {}")
        return
    for name, value in inputs.items():
        problem = _input_problem(name, value, graph)
        if problem:
            yield FieldError(f"{at}.inputs.{name}", problem)


def _input_problem(name: str, value: Any, graph: JsonObject) -> str | None:
    if _is_link(value, graph):
        return _link_problem(value, graph)
    if _is_deeper(value, MAX_DEPTH):
        return f"is nested more than {MAX_DEPTH} levels deep"
    if _holds_no_number(value):
        return "holds NaN or an infinite number, which JSON does not have"
    if name == "filename_prefix" and isinstance(value, str):
        return _prefix_problem(value)
    return None


def _is_link(value: Any, graph: JsonObject) -> bool:
    """Whether a list is meant as `[node id, slot]`: ComfyUI takes every other list of two as a link too."""
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        return False
    return value[0] in graph or (len(value) == 2 and isinstance(value[1], int | float))


def _link_problem(link: list[Any], graph: JsonObject) -> str | None:
    if len(link) != 2:
        return "must be a link of two entries: [node id, number of the output]"
    if link[0] not in graph:
        return f"links to node {link[0][:MAX_NODE_ID_LENGTH]!r}, which is not in the workflow"
    if not isinstance(link[1], int) or isinstance(link[1], bool) or link[1] < 0:
        return "must name the output by its number, from 0: [node id, number of the output]"
    return None


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _holds_no_number(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_holds_no_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not math.isfinite(value)


def _prefix_problem(prefix: str) -> str | None:
    path = prefix.replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path):
        return "must be relative: it is a file name inside the output folder"
    if posixpath.normpath(path).split("/", 1)[0] == "..":
        return "must not lead out of the output folder with `..`"
    if "\x00" in path:
        return "must not hold a NUL character"
    return None


def _in_a_cycle(graph: JsonObject) -> list[str]:
    """Nodes that wait for themselves: what stays when sources, and then sinks, are taken away again and again."""
    sources = {node_id: _sources(node, graph) for node_id, node in graph.items()}
    sinks: dict[str, set[str]] = {node_id: set() for node_id in graph}
    for node_id, origins in sources.items():
        for origin in origins:
            sinks[origin].add(node_id)
    return _without_ends(_without_ends(list(graph), sources, sinks), sinks, sources)


def _without_ends(node_ids: list[str], before: dict[str, set[str]], after: dict[str, set[str]]) -> list[str]:
    remaining = set(node_ids)
    waiting = Counter({node_id: len(before[node_id] & remaining) for node_id in node_ids})
    free = [node_id for node_id in node_ids if waiting[node_id] == 0]
    while free:
        node_id = free.pop()
        remaining.discard(node_id)
        for follower in after[node_id] & remaining:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                free.append(follower)
    return [node_id for node_id in node_ids if node_id in remaining]


def _sources(node: Any, graph: JsonObject) -> set[str]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    values = inputs.values() if isinstance(inputs, dict) else ()
    return {value[0] for value in values if _is_link(value, graph) and value[0] in graph}


def _joined(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
