"""The process builds its model store from its environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders import a_deployment, a_runtime_environment
from sdfleet.domain.task import RuntimeType
from sdfleet.environment import SchedulerEnvironment
from sdfleet_scheduler.composition import compose
from sdfleet_scheduler.metadata import ENDPOINT_VARIABLE

#: Nobody listens at the discard port.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)


async def composed(directory: Path | None, *, model_bucket: str | None = "models") -> None:
    """Build all, and close what was built."""
    runtime = a_runtime_environment(type=RuntimeType.COMFYUI)
    deployment = replace(a_deployment(runtimes=(runtime,)), model_bucket=model_bucket)
    environment = SchedulerEnvironment(
        runtime=runtime.name, runtime_url=NOWHERE, model_directory=str(directory) if directory else None
    )
    parts = await compose({**deployment.to_env(), **environment.to_env(), ENDPOINT_VARIABLE: NOWHERE})
    for close in parts.closing:
        await close()


async def test_the_directories_are_there_before_the_runtimes_server_looks_for_them(tmp_path: Path) -> None:
    await composed(tmp_path / "models")
    assert (tmp_path / "models" / "Stable-diffusion").is_dir()
    assert (tmp_path / "models" / "diffusion_models").is_dir()


async def test_without_a_model_bucket_the_directory_is_left_alone(tmp_path: Path) -> None:
    await composed(tmp_path / "models", model_bucket=None)
    assert not (tmp_path / "models").exists()
