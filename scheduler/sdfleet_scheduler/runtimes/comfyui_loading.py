"""Which models ComfyUI loads for a workflow, and how long its loaders take."""

from __future__ import annotations

from sdfleet.domain.model_names import models_named
from sdfleet.domain.models import ModelKind
from sdfleet.domain.task import JsonObject, TaskType
from sdfleet_scheduler.runtimes.base import LoadedCallback, ModelLoad
from sdfleet_scheduler.runtimes.comfyui_socket import PromptWatch

#: The rest is small beside these, and changes from one workflow to the next.
_LARGE = (ModelKind.CHECKPOINT, ModelKind.DIFFUSION_MODEL)


class Loading:
    def __init__(self, on_loaded: LoadedCallback) -> None:
        self._on_loaded = on_loaded
        #: What the last workflow had loaded; nothing, for a server that has just been started.
        self._loaded: set[str] = set()

    def forget(self) -> None:
        """The server may be another."""
        self._loaded.clear()

    def ended(self, graph: JsonObject, watch: PromptWatch) -> None:
        """The prompt went well. A loader that ComfyUI answered from its cache had its model in memory."""
        loaders = [
            (named.name, named.path.split(".")[1])
            for named in models_named(TaskType.PIPELINE, graph, model=None, embeddings=())
            if named.kind in _LARGE
        ]
        for name in {name for name, _ in loaders} - self._loaded:
            nodes = [node_id for its_name, node_id in loaders if its_name == name]
            seconds = sum(watch.node_seconds.get(node_id, 0.0) for node_id in nodes)
            self._on_loaded(ModelLoad(name, seconds, was_in_memory=watch.cached.issuperset(nodes)))
        # A workflow without a model of its own leaves the last one where it is.
        self._loaded = {name for name, _ in loaders} or self._loaded
