"""Fixtures of more than one suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running_service import RunningService


@pytest.fixture(scope="session")
def local_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The whole service with three instances, shared: leave it as it was found (three in service)."""
    root = tmp_path_factory.mktemp("a checkout")
    service = RunningService.start(root, "--instances", "3")
    try:
        yield service
    finally:
        service.stop()
