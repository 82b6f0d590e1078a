"""Builds the adapter for a runtime type. Built-ins register here, as another adapter would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError
from sdfleet_scheduler.runtimes.base import Runtime
from sdfleet_scheduler.runtimes.comfyui import ComfyUiRuntime, comfyui_client
from sdfleet_scheduler.runtimes.custom import CustomRuntime, custom_client
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime, sdwebui_client
from sdfleet_scheduler.runtimes.test_pattern import TestPatternRuntime

#: Takes the server's URL, the runtime's static model and a folder for scratch files.
Factory = Callable[[str, str | None, Path], Runtime]

_WITH_SERVER: dict[RuntimeType, Factory] = {
    RuntimeType.SDWEBUI: lambda url, model, _: SdWebUiRuntime(sdwebui_client(url), model=model),
    RuntimeType.COMFYUI: lambda url, _model, _: ComfyUiRuntime(comfyui_client(url)),
    RuntimeType.CUSTOM: lambda url, _model, scratch: CustomRuntime(custom_client(url), scratch=scratch),
}


def build_runtime(kind: RuntimeType, url: str | None, *, model: str | None, scratch: Path) -> Runtime:
    """Raises:
    ConfigError: the runtime needs a server's URL.
    """
    if kind is RuntimeType.TEST_PATTERN:
        return TestPatternRuntime()
    if not url:
        raise ConfigError(f"A {kind} runtime needs runtime_url, for example http://127.0.0.1:8188.")
    return _WITH_SERVER[kind](url, model, scratch)
