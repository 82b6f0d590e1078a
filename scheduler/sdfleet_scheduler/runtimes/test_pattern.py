"""The runtime without a model: draws what was asked for on a picture, so that the whole service runs without a GPU."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from sdfleet.domain.content import image_fields, replaced
from sdfleet.domain.task import TaskType
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import FileReference, Generation, Job, OutputFile, ProgressCallback
from sdfleet_scheduler.runtimes.pattern_drawing import MARK, WRITTEN_PROMPT, draw, infotext, printable, resize
from sdfleet_scheduler.runtimes.pattern_request import PatternRequest, read

#: How often a pretended run reports progress.
_SLICE_S = 0.25
#: Waiting is this share of a pretended run; drawing is the rest.
_WAITING_SHARE = 0.9


class TestPatternRuntime:
    """Serves every task type. Takes as long as `content.test_pattern_seconds` says; cancelling it stops it at once."""

    #: Its name is no test's.
    __test__ = False

    async def is_ready(self) -> bool:
        return True

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        await job.turn()
        """Raises:
        RuntimeFailure: permanent; the content asks for something that cannot be drawn.
        """
        request = await offload(read, job)
        await _pretend(request.seconds, on_progress)
        total = request.count * max(len(request.output_nodes), 1)
        done = _WAITING_SHARE if request.seconds else 0.0
        files = []
        for index in range(total):
            # One thread call each: a cancellation waits for one picture at most.
            data = await offload(resize if request.resize else draw, request, index)
            files.append(OutputFile(data=data, name=f"{job.task_id}-{index + 1}.png", content_type="image/png"))
            on_progress(done + (1 - done) * (index + 1) / total)
        return Generation(files=tuple(files), output=_answer(job, request))

    async def close(self) -> None:
        """Nothing is open."""


async def _pretend(seconds: float, on_progress: ProgressCallback) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    while (passed := loop.time() - start) < seconds:
        on_progress(_WAITING_SHARE * passed / seconds)
        await asyncio.sleep(min(_SLICE_S, seconds - passed))


def _answer(job: Job, request: PatternRequest) -> Mapping[str, Any]:
    """As the real runtime would put it."""
    if request.output_nodes:
        nodes = enumerate(request.output_nodes)
        return {"outputs": {node: {"images": _references(index, request.count)} for index, node in nodes}}
    if job.tasktype is TaskType.EXTRA_SINGLE_IMAGE:
        return {"html_info": f"<p>{MARK}</p>", "image": FileReference(0)}
    if job.tasktype is TaskType.EXTRA_BATCH_IMAGES:
        return {"html_info": f"<p>{MARK}</p>", "images": _references(0, request.count)}
    return {
        "images": _references(0, request.count),
        "parameters": _echo(job),
        "info": json.dumps(_info(request)),
    }


def _references(group: int, count: int) -> list[FileReference]:
    return [FileReference(group * count + number) for number in range(count)]


def _echo(job: Job) -> Mapping[str, Any]:
    """The request without pictures, as the WebUI echoes it, and without links, which may be presigned."""
    paths = {path for path, _ in image_fields(job.tasktype, job.content)} | {file.path for file in job.inputs}
    return replaced(job.content, dict.fromkeys(paths))


def _info(request: PatternRequest) -> Mapping[str, Any]:
    """The WebUI's `info`, as far as it means something here."""
    prompt, negative_prompt = (printable(text[:WRITTEN_PROMPT]) for text in (request.prompt, request.negative_prompt))
    return {
        "prompt": prompt,
        "all_prompts": [prompt] * request.count,
        "negative_prompt": negative_prompt,
        "all_negative_prompts": [negative_prompt] * request.count,
        "seed": request.seed,
        "all_seeds": [request.seed + index for index in range(request.count)],
        "width": request.width,
        "height": request.height,
        "steps": request.steps,
        "batch_size": request.count,
        "sd_model_name": MARK,
        "sd_model_hash": None,
        "infotexts": [infotext(request, index) for index in range(request.count)],
        "index_of_first_image": 0,
        "version": MARK,
    }
