"""The first picture: an instance that has made none is not in service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sdfleet.domain.task import JsonObject, RuntimeType, TaskType
from sdfleet_scheduler.runtimes import comfyui_probes
from sdfleet_scheduler.runtimes.base import Job, Runtime, RuntimeFailure

Canary = Callable[[], Awaitable[None]]

#: One step: the model is on the GPU after it, and text encoder, sampler and VAE have worked.
_PICTURE: JsonObject = {"prompt": "", "steps": 1, "width": 64, "height": 64, "seed": 1}


def canary_of(kind: RuntimeType, runtime: Runtime, model: str | None) -> Canary | None:
    """Makes one picture, with the static model if there is one. None: what such a server makes only its owner knows."""
    if kind is RuntimeType.CUSTOM:
        return None

    async def make() -> None:
        """Raises:
        RuntimeFailure: classified.
        """
        if kind is RuntimeType.COMFYUI:
            tasktype = TaskType.PIPELINE
            content = comfyui_probes.canary() if model is None else comfyui_probes.warm_up(model)
        else:
            tasktype, content = TaskType.TEXT_TO_IMAGE, _PICTURE
        job = Job("canary", "boot", "sdfleet-canary", tasktype, content, model=model)
        made = await runtime.generate(job, lambda share: None)
        if not made.files:
            raise RuntimeFailure.transient("no_picture", "The runtime answered the first request without a picture.")

    return make
