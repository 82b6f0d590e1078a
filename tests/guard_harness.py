"""What the fetch guard's tests are made of: played resolvers and transports, and guards for servers of the test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import httpx
import pytest

from sdfleet_scheduler.fetch_guard import FetchFailed, FetchGuard, Resolver

MIB = 1024 * 1024
METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
PUBLIC = "93.184.215.14"


class Resolutions:
    """A resolver with one list of addresses for each time it is asked; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Recorded(httpx.AsyncBaseTransport):
    """Answers every request itself, and keeps it."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers.pop(0) if self._answers else httpx.Response(200, stream=httpx.ByteStream(b"picture"))


class Unreachable(Recorded):
    """The first address does not take the connection."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.requests:
            self.requests.append(request)
            raise httpx.ConnectError("refused")
        return await super().handle_async_request(request)


async def fetched(guard: FetchGuard, url: str, *, max_bytes: int = MIB, within_s: float = 5.0) -> bytes:
    try:
        return await guard.get(url, max_bytes=max_bytes, within=timedelta(seconds=within_s))
    finally:
        await guard.close()


async def refusal_of(guard: FetchGuard, url: str, *, max_bytes: int = MIB, within_s: float = 5.0) -> str:
    with pytest.raises(FetchFailed) as caught:
        await fetched(guard, url, max_bytes=max_bytes, within_s=within_s)
    return str(caught.value)


def a_guard(resolver: Resolver, transport: httpx.AsyncBaseTransport) -> FetchGuard:
    return FetchGuard(resolver=resolver, transport=transport)


def local_guard(*ports: int) -> FetchGuard:
    """One that may fetch from the test's own servers, and nothing else that is not public."""
    return FetchGuard(allowed_hosts=[f"127.0.0.1:{port}" for port in ports])
