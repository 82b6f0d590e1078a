"""Embeddings that a workflow's texts name: ComfyUI leaves out an unknown one and says so in its log alone."""

from __future__ import annotations

import posixpath

from sdfleet.domain.model_names import models_named
from sdfleet.domain.models import ModelKind
from sdfleet.domain.task import JsonObject, TaskType
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui_failures import MODEL_NOT_FOUND
from sdfleet_scheduler.runtimes.comfyui_server import ComfyUiServer


async def check_embeddings(graph: JsonObject, server: ComfyUiServer) -> None:
    """Raises:
    RuntimeFailure: permanent, naming what is missing and where.
    ServerUnreachable
    """
    models = models_named(TaskType.PIPELINE, graph, model=None, embeddings=())
    named = [model for model in models if model.kind is ModelKind.EMBEDDING]
    known = await server.embeddings() if named else None
    if known is None:
        return
    for model in named:
        name = model.name.replace("\\", "/")
        if not {name, posixpath.splitext(name)[0]} & known:
            raise RuntimeFailure.permanent(
                MODEL_NOT_FOUND, f"{model.path}: neither ComfyUI nor the model bucket has an embedding {name[:80]!r}."
            )
