"""What a ComfyUI workflow asks for, as far as a test pattern can show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sdfleet.domain.content import decode_image
from sdfleet.domain.task import JsonObject
from sdfleet.domain.workflow import unwrap_workflow
from sdfleet_scheduler.runtimes.base import Job
from sdfleet_scheduler.runtimes.pattern_fields import Fields, Source, is_integer

#: SaveImage, PreviewImage, SaveAnimatedWEBP, ...: custom output nodes follow the same habit.
_OUTPUT_CLASSES = ("Save", "Preview")
#: LoadImage, LoadImageMask, LoadImageOutput.
_LOADING_CLASSES = ("LoadImage",)
_TEXT_INPUTS = ("text", "prompt", "positive")


@dataclass(frozen=True)
class WorkflowFacts:
    #: Node id, width and height; None if no node says how large the result is.
    size: tuple[str, int, int] | None
    batch_size: int
    steps: int
    #: -1: none is named.
    seed: int
    prompt: str = field(repr=False)
    sources: tuple[Source, ...]
    output_nodes: tuple[str, ...]


def read_workflow(job: Job, fields: Fields) -> WorkflowFacts:
    nodes = {
        node_id: node
        for node_id, node in unwrap_workflow(job.content).items()
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict) and isinstance(node.get("class_type"), str)
    }
    return WorkflowFacts(
        size=_size(nodes),
        batch_size=next(_integers(nodes, "batch_size"), 1),
        steps=next(_integers(nodes, "steps"), 1),
        seed=next(_integers(nodes, "seed", "noise_seed"), -1),
        prompt=_prompt(nodes),
        sources=tuple(_sources(job, nodes, fields)),
        output_nodes=tuple(key for key, node in nodes.items() if node["class_type"].startswith(_OUTPUT_CLASSES)),
    )


def _size(nodes: dict[str, JsonObject]) -> tuple[str, int, int] | None:
    """As the last node that scales has it, else the first that makes a picture. A side of 0 means: keep the ratio."""
    sized = [
        (node_id, node["inputs"]["width"], node["inputs"]["height"])
        for node_id, node in nodes.items()
        if all(is_integer(node["inputs"].get(side)) and node["inputs"][side] != 0 for side in ("width", "height"))
    ]
    scaling = [size for size in sized if "Scale" in nodes[size[0]]["class_type"]]
    return scaling[-1] if scaling else next(iter(sized), None)


def _integers(nodes: dict[str, JsonObject], *names: str) -> Iterator[int]:
    for name in names:
        for node in nodes.values():
            value = node["inputs"].get(name)
            if is_integer(value):
                yield value


def _prompt(nodes: dict[str, JsonObject]) -> str:
    """The text that a sampler's `positive` leads to, else the first text there is."""
    for node in nodes.values():
        link = node["inputs"].get("positive")
        if isinstance(link, list) and link and str(link[0]) in nodes:
            text = nodes[str(link[0])]["inputs"].get("text")
            if isinstance(text, str):
                return text
    texts = (node["inputs"].get(name) for node in nodes.values() for name in _TEXT_INPUTS)
    return next((text for text in texts if isinstance(text, str)), "")


def _sources(job: Job, nodes: dict[str, JsonObject], fields: Fields) -> Iterator[Source]:
    """Linked and embedded pictures; a name of a file at the server has no bytes here and draws nothing."""
    linked = {file.path: file.data for file in job.inputs}
    for node_id, node in nodes.items():
        if not node["class_type"].startswith(_LOADING_CLASSES):
            continue
        path = (*(() if node_id in job.content else ("prompt",)), node_id, "inputs", "image")
        value = node["inputs"].get("image")
        data = linked.get(path)
        if data is None and isinstance(value, str) and value.startswith("data:"):
            data = decode_image(value) or b""
        if data is not None:
            yield from fields.pictures(path, data)
