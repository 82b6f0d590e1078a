"""Fixtures of more than one suite, and which tests run in one process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running_service import RunningService

#: What takes longest comes first, so that no process ends long after the other.
FIRST = ("cdk", "local", "chaos", "scripts", "contract")

_shared: list[RunningService] = []


# Before pytest-xdist's own hook, which reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process beside others (pytest-xdist): tests that share something costly stay together, else a file does."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: FIRST.index(_room(item)) if _room(item) in FIRST else len(FIRST))


def _is_sharing(item: pytest.Item) -> bool:
    return "local_deployment" in getattr(item, "fixturenames", ())


def _room(item: pytest.Item) -> str:
    return item.path.parent.name


def _group(item: pytest.Item) -> str:
    if _is_sharing(item):
        return "local_deployment"
    # The first template of a process takes seconds, and each variant is made once.
    return "cdk" if _room(item) == "cdk" else item.path.stem


@pytest.fixture(scope="session")
def local_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The whole service with three instances, shared: leave it as it was found (three in service)."""
    root = tmp_path_factory.mktemp("a checkout")
    service = RunningService.start(root, "--instances", "3")
    _shared.append(service)
    try:
        yield service
    finally:
        _stop_shared()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """In a process beside others the tests that share the service follow each other: behind the last it would only
    take a quarter of a core from the rest."""
    if hasattr(item.config, "workerinput") and _is_sharing(item) and (nextitem is None or not _is_sharing(nextitem)):
        _stop_shared()


def _stop_shared() -> None:
    while _shared:
        _shared.pop().stop()
