"""Fixtures of the local suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from conformance import Fleet, served


@pytest.fixture(scope="session")
def a_fleet() -> Iterator[Callable[..., Fleet]]:
    with served() as make:
        yield make
