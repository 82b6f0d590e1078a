"""What a change of model takes, and where the model came from."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from fake_comfyui import a_comfyui, a_comfyui_job, events_for, failure_of, recording
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.model_switches import ModelSwitches
from sdfleet_scheduler.runtimes.base import ModelLoad
from sdfleet_scheduler.runtimes.comfyui import ComfyUiRuntime
from sdfleet_scheduler.runtimes.comfyui_loading import Loading
from sdfleet_scheduler.runtimes.comfyui_socket import PromptWatch

KEY = "Stable-diffusion/anime/xl.safetensors"


def graph_with(model: str) -> dict[str, Any]:
    """The recorded workflow with another checkpoint."""
    graph: dict[str, Any] = deepcopy(recording("post_sd_tiny_cold")["request"]["json"]["prompt"])
    for node in graph.values():
        if "ckpt_name" in node["inputs"]:
            node["inputs"]["ckpt_name"] = model
    return graph


def loader_of(graph: dict[str, Any]) -> str:
    return next(node_id for node_id, node in graph.items() if "ckpt_name" in node["inputs"])


class Listening:
    def __init__(self) -> None:
        self.loads: list[ModelLoad] = []
        self.loading = Loading(self.loads.append)

    def runs(self, graph: dict[str, Any], **told: Any) -> None:
        watch = PromptWatch("p", graph, lambda _: None)
        watch.node_seconds.update(told.get("seconds", {}))
        watch.cached.update(told.get("cached", ()))
        self.loading.ended(graph, watch)

    def told(self) -> list[tuple[str, bool]]:
        return [(load.model, load.was_in_memory) for load in self.loads]


def test_a_recorded_cold_start_tells_what_the_loader_took() -> None:
    graph = graph_with("tiny_random_sd15.safetensors")
    loader = loader_of(graph)
    watch = PromptWatch("p", graph, lambda _: None)
    for event in events_for("ws_sd_tiny_cold", "p"):
        if isinstance(event, dict) and event["data"].get("prompt_id") == "p":
            watch.take(event["type"], event["data"])
    assert watch.node_seconds[loader] > 0
    assert watch.cached == set()


def test_the_first_workflow_and_every_other_model_is_a_load() -> None:
    listening = Listening()
    for model in ("a.safetensors", "a.safetensors", "b.safetensors", "a.safetensors"):
        listening.runs(graph_with(model))
    assert listening.told() == [("a.safetensors", False), ("b.safetensors", False), ("a.safetensors", False)]


def test_a_loader_from_the_cache_had_its_model_in_memory() -> None:
    listening = Listening()
    graph = graph_with("a.safetensors")
    listening.runs(graph)
    listening.runs(graph_with("b.safetensors"))
    listening.runs(graph, cached={loader_of(graph)})
    assert listening.told()[-1] == ("a.safetensors", True)


def test_a_load_takes_what_its_loader_took() -> None:
    listening = Listening()
    graph = graph_with("a.safetensors")
    listening.runs(graph, seconds={loader_of(graph): 2.5, "99": 7.0})
    assert listening.loads[0].seconds == 2.5


def test_a_workflow_without_a_model_changes_none() -> None:
    listening = Listening()
    listening.runs(graph_with("a.safetensors"))
    listening.runs({"1": {"class_type": "EmptyImage", "inputs": {"width": 8}}})
    listening.runs(graph_with("a.safetensors"))
    assert len(listening.loads) == 1


async def test_after_a_lost_server_its_models_are_loaded_anew() -> None:
    loads: list[ModelLoad] = []
    job = a_comfyui_job(content=graph_with("tiny_random_sd15.safetensors"))
    async with a_comfyui() as (fake, _):
        runtime = ComfyUiRuntime(fake.client(), on_loaded=loads.append)
        await runtime.generate(job, lambda _: None)
        fake.is_dead = True
        await failure_of(runtime, job)
        fake.is_dead = False
        await runtime.generate(job, lambda _: None)
        await runtime.close()
    assert [load.model for load in loads] == ["tiny_random_sd15.safetensors"] * 2


class Counted:
    """How many switches the metrics show, and what they took, by source."""

    def __init__(self) -> None:
        self.instruments = Instruments()
        self.switches = ModelSwitches(self.instruments)

    def seen(self, source: str) -> tuple[float, float]:
        value = self.instruments.registry.get_sample_value
        return tuple(  # type: ignore[return-value]
            value(f"sdfleet_model_switch_seconds_{part}", {"source": source}) or 0.0 for part in ("count", "sum")
        )


@pytest.mark.parametrize(("was_in_memory", "source"), [(True, "memory"), (False, "disk")])
def test_what_was_not_downloaded_came_from_memory_or_disk(was_in_memory: bool, source: str) -> None:
    counted = Counted()
    counted.switches.loaded(ModelLoad("xl.safetensors", 1.5, was_in_memory=was_in_memory))
    assert counted.seen(source) == (1, 1.5)


def test_a_download_counts_once_and_with_its_time() -> None:
    counted = Counted()
    counted.switches.fetched([KEY, "Lora/ink.safetensors"], 4.0)
    for _ in range(2):
        counted.switches.loaded(ModelLoad("anime/xl.safetensors", 1.0, was_in_memory=False))
    assert counted.seen("bucket") == (1, 5.0)
    assert counted.seen("disk") == (1, 1.0)
