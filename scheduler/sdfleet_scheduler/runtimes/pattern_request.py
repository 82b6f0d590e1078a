"""What a task asks of the test pattern runtime, read from its content as the real runtime would read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from sdfleet.domain.content import decode_image, image_fields
from sdfleet.domain.task import TaskType
from sdfleet.domain.workflow import looks_like_workflow
from sdfleet_scheduler.pictures import opened
from sdfleet_scheduler.runtimes.base import Job
from sdfleet_scheduler.runtimes.pattern_fields import Fields, Source
from sdfleet_scheduler.runtimes.pattern_workflow import read_workflow

MIN_SIDE, MAX_SIDE = 8, 4096
#: An upscaled picture may have sides twice as long as a drawn one.
MAX_UPSCALED_SIDE = 2 * MAX_SIDE
MAX_PICTURES = 64
#: Twelve hours: as long as SQS can keep a message invisible.
MAX_SECONDS = 12 * 3600
_MAX_STEPS = 10_000
_MAX_UPSCALING = 64.0

#: The WebUI's own defaults (its API documentation).
DEFAULT_SIDE = 512
_DEFAULT_STEPS = 50
_DEFAULT_UPSCALING = 2.0

#: A workflow without an output node we know: its pictures are listed under this name.
_NO_NODE = "test_pattern"


@dataclass(frozen=True)
class Resize:
    """An extras task: its pictures are resized, nothing is drawn from a prompt."""

    #: None: to `width` and `height`.
    factor: float | None
    width: int
    height: int
    #: Cut off what sticks out of width and height.
    crop: bool


@dataclass(frozen=True)
class PatternRequest:
    seconds: float
    width: int = DEFAULT_SIDE
    height: int = DEFAULT_SIDE
    steps: int = _DEFAULT_STEPS
    #: Of the first picture; each further one has one more.
    seed: int = 0
    prompt: str = field(default="", repr=False)
    negative_prompt: str = field(default="", repr=False)
    #: Pictures for each output node.
    count: int = 1
    sources: tuple[Source, ...] = ()
    resize: Resize | None = None
    #: ComfyUI nodes that save or show pictures; empty for the WebUI's task types.
    output_nodes: tuple[str, ...] = ()


def read(job: Job) -> PatternRequest:
    """Blocks: decodes the pictures that came with the task.

    Raises:
        RuntimeFailure: permanent, naming every field that is wrong.
    """
    fields = Fields(job.content)
    seconds = fields.number("test_pattern_seconds", 0.0, low=0, high=MAX_SECONDS)
    if job.tasktype is TaskType.PIPELINE and looks_like_workflow(job.content):
        request = _read_pipeline(job, fields, seconds)
    elif job.tasktype in (TaskType.EXTRA_SINGLE_IMAGE, TaskType.EXTRA_BATCH_IMAGES):
        request = _read_extras(job, fields, seconds)
    else:
        request = _read_generation(job, fields, seconds)
    fields.finish()
    return request


def _read_generation(job: Job, fields: Fields, seconds: float) -> PatternRequest:
    count = fields.integer("batch_size", 1, low=1, high=MAX_PICTURES) * fields.integer(
        "n_iter", 1, low=1, high=MAX_PICTURES
    )
    if count > MAX_PICTURES:
        fields.refuse("n_iter", f"times batch_size is {count}; at most {MAX_PICTURES} pictures are drawn")
    if job.tasktype is TaskType.IMAGE_TO_IMAGE and not job.content.get("init_images"):
        fields.refuse("init_images", "is missing; it must list at least one picture")
    seed = fields.integer("seed", -1, low=-1, high=2**64)
    return PatternRequest(
        seconds=seconds,
        width=fields.integer("width", DEFAULT_SIDE, low=MIN_SIDE, high=MAX_SIDE),
        height=fields.integer("height", DEFAULT_SIDE, low=MIN_SIDE, high=MAX_SIDE),
        steps=fields.integer("steps", _DEFAULT_STEPS, low=1, high=_MAX_STEPS),
        seed=_derived_seed(job) if seed < 0 else seed,
        prompt=fields.text("prompt"),
        negative_prompt=fields.text("negative_prompt"),
        count=count,
        # The mask is checked with the others; there is no inpainting to show.
        sources=tuple(source for source in _pictures(job, fields) if source.path[0] == "init_images"),
        output_nodes=(_NO_NODE,) if job.tasktype is TaskType.PIPELINE else (),
    )


def _read_extras(job: Job, fields: Fields, seconds: float) -> PatternRequest:
    is_by_factor = fields.integer("resize_mode", 0, low=0, high=1) == 0
    factor = fields.number("upscaling_resize", _DEFAULT_UPSCALING, low=0.01, high=_MAX_UPSCALING)
    resize = Resize(
        factor=factor if is_by_factor else None,
        width=fields.integer("upscaling_resize_w", DEFAULT_SIDE, low=1, high=MAX_UPSCALED_SIDE),
        height=fields.integer("upscaling_resize_h", DEFAULT_SIDE, low=1, high=MAX_UPSCALED_SIDE),
        crop=fields.flag("upscaling_crop", default=True),
    )
    sources = _pictures(job, fields)
    name = "image" if job.tasktype is TaskType.EXTRA_SINGLE_IMAGE else "imageList"
    if not job.content.get(name):
        fields.refuse(name, "is missing; there is nothing to resize")
    if len(sources) > MAX_PICTURES:
        fields.refuse(name, f"has {len(sources)} pictures; at most {MAX_PICTURES} are resized")
    return PatternRequest(seconds=seconds, resize=resize, count=len(sources), sources=sources)


def _read_pipeline(job: Job, fields: Fields, seconds: float) -> PatternRequest:
    facts = read_workflow(job, fields)
    width, height = DEFAULT_SIDE, DEFAULT_SIDE
    if facts.size is not None:
        node, width, height = facts.size
        width = fields.whole(width, f"{node}.inputs.width", low=MIN_SIDE, high=MAX_SIDE)
        height = fields.whole(height, f"{node}.inputs.height", low=MIN_SIDE, high=MAX_SIDE)
    elif facts.sources:
        width, height = (min(max(side, MIN_SIDE), MAX_SIDE) for side in opened(facts.sources[0].data).size)
    output_nodes = facts.output_nodes or (_NO_NODE,)
    if not 1 <= facts.batch_size <= MAX_PICTURES // len(output_nodes):
        fields.refuse(
            "batch_size",
            f"asks for {facts.batch_size} pictures for each of {len(output_nodes)} output nodes; "
            f"from 1 to {MAX_PICTURES} in all are drawn",
        )
    return PatternRequest(
        seconds=seconds,
        width=width,
        height=height,
        steps=facts.steps,
        seed=_derived_seed(job) if facts.seed < 0 else facts.seed,
        prompt=facts.prompt,
        count=facts.batch_size,
        sources=facts.sources,
        output_nodes=output_nodes,
    )


def _pictures(job: Job, fields: Fields) -> tuple[Source, ...]:
    linked = {file.path: file.data for file in job.inputs}
    found: list[Source] = []
    for path, value in image_fields(job.tasktype, job.content):
        data = linked.get(path) or (decode_image(value) if isinstance(value, str) else None)
        found.extend(fields.pictures(path, data))
    return tuple(found)


def _derived_seed(job: Job) -> int:
    """A seed for a task that names none; the same for every attempt of a run."""
    return int.from_bytes(hashlib.sha256(f"{job.task_id}\n{job.run}".encode()).digest()[:4])
