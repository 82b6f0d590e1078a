"""Builds the adapter for a runtime type. Built-ins register here, as another adapter would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError
from sdfleet_scheduler.runtimes.base import LoadedCallback, Runtime, nobody_listens
from sdfleet_scheduler.runtimes.comfyui import ComfyUiRuntime, comfyui_client
from sdfleet_scheduler.runtimes.custom import CustomRuntime, custom_client
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime, sdwebui_client
from sdfleet_scheduler.runtimes.test_pattern import TestPatternRuntime


@dataclass(frozen=True)
class RuntimeSettings:
    """What adapters are built with; each takes what it knows."""

    #: The static model.
    model: str | None
    #: A folder for scratch files.
    scratch: Path
    #: The watchdog's patience.
    hang_after: timedelta
    #: So many checkpoints stay in the server's memory; None: as the server is configured.
    keep_models: int | None = None
    on_loaded: LoadedCallback = nobody_listens


Factory = Callable[[str, RuntimeSettings], Runtime]


def _sdwebui(url: str, settings: RuntimeSettings) -> Runtime:
    return SdWebUiRuntime(
        sdwebui_client(url),
        model=settings.model,
        hang_after=settings.hang_after,
        keep_models=settings.keep_models,
        on_loaded=settings.on_loaded,
    )


def _comfyui(url: str, settings: RuntimeSettings) -> Runtime:
    return ComfyUiRuntime(comfyui_client(url), hang_after=settings.hang_after, on_loaded=settings.on_loaded)


def _custom(url: str, settings: RuntimeSettings) -> Runtime:
    # Its contract has no progress to watch: the task's own time limit ends a hang.
    return CustomRuntime(custom_client(url), scratch=settings.scratch)


_WITH_SERVER: dict[RuntimeType, Factory] = {
    RuntimeType.SDWEBUI: _sdwebui,
    RuntimeType.COMFYUI: _comfyui,
    RuntimeType.CUSTOM: _custom,
}


def build_runtime(kind: RuntimeType, url: str | None, settings: RuntimeSettings) -> Runtime:
    """Raises:
    ConfigError: the runtime needs a server's URL.
    """
    if kind is RuntimeType.TEST_PATTERN:
        return TestPatternRuntime()
    if not url:
        raise ConfigError(f"A {kind} runtime needs runtime_url, for example http://127.0.0.1:8188.")
    return _WITH_SERVER[kind](url, settings)
