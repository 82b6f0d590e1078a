"""LoRAs, hypernetworks and ControlNet models that a request names and the server would leave out without a word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sdfleet.domain.model_names import extra_models
from sdfleet.domain.models import ModelKind
from sdfleet.domain.task import JsonObject
from sdfleet_scheduler.runtimes.sdwebui_catalog import Catalog

#: Path, name, and how to look it up.
LookUp = Callable[[str, Any, Callable[[str], Awaitable[Any]]], Awaitable[Any]]


async def check_extra_models(content: JsonObject, catalog: Catalog, found: LookUp) -> None:
    """Have `found` look up each, with where it stands below the content."""
    look_ups = {
        ModelKind.LORA: catalog.lora,
        ModelKind.HYPERNETWORK: catalog.hypernetwork,
        ModelKind.CONTROLNET: catalog.controlnet,
    }
    for named in extra_models(content):
        if named.kind in look_ups:
            await found(named.path.removeprefix("content."), named.name, look_ups[named.kind])
