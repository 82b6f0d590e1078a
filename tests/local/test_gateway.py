from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from sdfleet_local import gateway as module
from sdfleet_local.gateway import MAX_BODY_BYTES, Gateway, GatewaySettings

KEY = "a-key-for-tests"


def answers(body: str = "{}", status: int = 200) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": body}


@dataclass
class Stage:
    """A gateway before a handler that remembers its events."""

    handler: Callable[[dict[str, Any]], Any] = field(default=lambda _event: answers())
    rate: float = 1000
    burst: int = 1000
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = GatewaySettings(KEY, rate=self.rate, burst=self.burst)
        self.gateway = Gateway(settings, self._handle, monotonic=lambda: 0.0)

    def client(self, key: str | None = KEY) -> httpx.AsyncClient:
        headers = {} if key is None else {"x-api-key": key}
        transport = httpx.ASGITransport(self.gateway)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", headers=headers)

    def _handle(self, event: dict[str, Any], _context: Any) -> Any:
        self.events.append(event)
        return self.handler(event)


async def test_the_handler_gets_the_request_as_a_proxy_event() -> None:
    stage = Stage()
    async with stage.client() as client:
        await client.post("/v1alpha2?a=1&a=2&b=", content='{"task": "ü"}', headers={"Prefer": "wait=20"})
    event = stage.events[0]
    assert (event["httpMethod"], event["path"], event["body"]) == ("POST", "/v1alpha2", '{"task": "ü"}')
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["headers"]["prefer"] == "wait=20"
    assert event["isBase64Encoded"] is False


async def test_a_body_that_is_no_text_reaches_the_handler_whole() -> None:
    stage = Stage()
    async with stage.client() as client:
        await client.post("/v1alpha2", content=b"\xff\xfe")
    assert (stage.events[0]["body"], stage.events[0]["isBase64Encoded"]) == ("//4=", True)


async def test_the_answer_is_the_handlers() -> None:
    stage = Stage(lambda _: {**answers('{"a": 1}', 202), "multiValueHeaders": {"Location": ["/v1alpha2/tasks/1"]}})
    async with stage.client() as client:
        answer = await client.get("/v1alpha2/tasks/1")
    assert (answer.status_code, answer.json()) == (202, {"a": 1})
    assert answer.headers["location"] == "/v1alpha2/tasks/1"


@pytest.mark.parametrize("key", [None, "", "another", KEY + "x"])
async def test_without_the_key_the_handler_is_not_asked(key: str | None) -> None:
    stage = Stage()
    async with stage.client(key) as client:
        answer = await client.post("/v1alpha2", content=b"x" * 100)
    assert (answer.status_code, stage.events) == (401, [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 401


@pytest.mark.parametrize("path", ["/health", "/health/", "/openapi.json"])
async def test_the_open_documents_need_no_key(path: str) -> None:
    async with Stage().client(None) as client:
        assert (await client.get(path)).status_code == 200
        assert (await client.post(path)).status_code == 401


async def test_over_the_limit_the_answer_says_when_to_come_back() -> None:
    async with Stage(rate=0.5, burst=2).client() as client:
        statuses = [(await client.get("/v1alpha2/runtimes")).status_code for _ in range(2)]
        refused = await client.get("/v1alpha2/runtimes")
    assert statuses == [200, 200]
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")


async def test_requests_without_a_key_use_up_nobodys_limit() -> None:
    stage = Stage(rate=1, burst=1)
    async with stage.client(None) as stranger:
        assert [(await stranger.get(path)).status_code for path in ("/health", "/health", "/task")] == [200, 429, 401]
    async with stage.client() as client:
        assert (await client.get("/v1alpha2/runtimes")).status_code == 200


async def test_a_body_over_the_cap_is_read_to_its_end_and_refused() -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(12):
            sent += MAX_BODY_BYTES // 10
            yield b"x" * (MAX_BODY_BYTES // 10)

    stage = Stage()
    async with stage.client() as client:
        answer = await client.post("/v1alpha2", content=body())
    assert (answer.status_code, stage.events) == (413, [])
    assert sent > MAX_BODY_BYTES


@pytest.mark.parametrize("broken", [RuntimeError("with a prompt in it"), None])
async def test_a_handler_that_breaks_is_a_problem_without_its_words(broken: Exception | None) -> None:
    def handler(_event: dict[str, Any]) -> Any:
        if broken is not None:
            raise broken
        return {"body": "no status"}

    async with Stage(handler).client() as client:
        answer = await client.get("/v1alpha2/runtimes")
    assert answer.status_code == 502
    assert "prompt" not in answer.text


async def test_a_handler_that_takes_too_long_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTEGRATION_TIMEOUT_S", 0.05)
    released = threading.Event()

    def wait(_event: dict[str, Any]) -> Any:
        released.wait(5)
        return answers()

    async with Stage(wait).client() as client:
        answer = await client.get("/v1alpha2/runtimes")
    released.set()
    assert answer.status_code == 504


async def test_waiting_requests_do_not_block_others() -> None:
    import asyncio

    def wait(event: dict[str, Any]) -> Any:
        if event["path"] == "/wait":
            time.sleep(0.3)
        return answers()

    async with Stage(wait).client() as client:
        waiting = [asyncio.create_task(client.get("/wait")) for _ in range(50)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await client.get("/v1alpha2/runtimes")
        assert time.monotonic() - began < 0.25
        assert {(await one).status_code for one in waiting} == {200}
