"""Builds the adapter for a runtime type. Built-ins register here, as another adapter would."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError
from sdfleet_scheduler.runtimes.base import Runtime
from sdfleet_scheduler.runtimes.comfyui import ComfyUiRuntime, comfyui_client
from sdfleet_scheduler.runtimes.custom import CustomRuntime, custom_client
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime, sdwebui_client
from sdfleet_scheduler.runtimes.test_pattern import TestPatternRuntime

#: Takes the server's URL, the runtime's static model, a folder for scratch files, and the watchdog's patience.
Factory = Callable[[str, str | None, Path, timedelta], Runtime]

_WITH_SERVER: dict[RuntimeType, Factory] = {
    RuntimeType.SDWEBUI: lambda url, model, _, hang: SdWebUiRuntime(sdwebui_client(url), model=model, hang_after=hang),
    RuntimeType.COMFYUI: lambda url, _model, _, hang: ComfyUiRuntime(comfyui_client(url), hang_after=hang),
    # Its contract has no progress to watch: the task's own time limit ends a hang.
    RuntimeType.CUSTOM: lambda url, _model, scratch, _: CustomRuntime(custom_client(url), scratch=scratch),
}


def build_runtime(
    kind: RuntimeType, url: str | None, *, model: str | None, scratch: Path, hang_after: timedelta
) -> Runtime:
    """Raises:
    ConfigError: the runtime needs a server's URL.
    """
    if kind is RuntimeType.TEST_PATTERN:
        return TestPatternRuntime()
    if not url:
        raise ConfigError(f"A {kind} runtime needs runtime_url, for example http://127.0.0.1:8188.")
    return _WITH_SERVER[kind](url, model, scratch, hang_after)
