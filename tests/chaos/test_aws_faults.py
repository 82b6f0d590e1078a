"""The fault proxy between schedulers and AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
import pytest

from sdfleet_local.chaos import raw_http
from sdfleet_local.chaos.aws_faults import AwsFault, AwsFaultProxy
from sdfleet_local.chaos.raw_http import Connection, Request

S3 = {"authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request"}


class Upstream:
    """An endpoint that keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def answer(self, connection: Connection) -> None:
        self.requests.append(await connection.read())
        await connection.answer(HTTPStatus.OK, b'{"done": true}')


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def proxy(upstream: Upstream) -> AsyncIterator[AwsFaultProxy]:
    server = await raw_http.serve(upstream.answer)
    proxy = AwsFaultProxy(seed=1, error_share=0.0)
    await proxy.start()
    await proxy.connect_to("127.0.0.1", raw_http.port_of(server))
    yield proxy
    await proxy.close()
    server.close()


async def call(proxy: AwsFaultProxy, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.put(f"{proxy.url}/bucket/key", content=b"bytes", headers={**S3, **headers})


async def test_a_call_without_a_fault_arrives_as_it_was_sent(proxy: AwsFaultProxy, upstream: Upstream) -> None:
    assert (await call(proxy, **{"x-amz-meta": "kept", "expect": "100-continue"})).json() == {"done": True}
    (request,) = upstream.requests
    assert (request.method, request.target, request.body) == ("PUT", "/bucket/key", b"bytes")
    assert request.headers["x-amz-meta"] == "kept"
    assert proxy.calls == {("s3", None): 1}


async def test_a_service_that_is_away_refuses_and_the_others_do_not(proxy: AwsFaultProxy, upstream: Upstream) -> None:
    await proxy.take_away("s3", lasts_s=60)
    assert (await call(proxy)).status_code == 503
    assert upstream.requests == []
    other = {"authorization": S3["authorization"].replace("/s3/", "/sqs/")}
    assert (await call(proxy, **other)).is_success


async def test_faults_meet_the_share_of_calls_that_was_asked_for() -> None:
    proxy = AwsFaultProxy(seed=1, error_share=0.3)
    met = 0
    for number in range(1000):
        request = Request("POST", "/", {"amz-sdk-invocation-id": str(number)}, b"")
        met += proxy._plan(request, "sqs").fault is not None
    assert 250 < met < 350


async def test_a_fault_belongs_to_the_call_and_not_to_its_attempts() -> None:
    proxy = AwsFaultProxy(seed=1, error_share=1.0)
    outcomes = [
        [proxy._plan(Request("POST", "/", {"amz-sdk-invocation-id": str(number)}, b""), "sqs").fault for _ in range(3)]
        for number in range(100)
    ]
    assert all(tries[0] is not None for tries in outcomes)
    assert {len(set(tries) - {None}) for tries in outcomes} == {1}
    # Some the SDK mends with its next attempt, some it cannot.
    assert {tries.count(None) for tries in outcomes} == {0, 1, 2}


async def test_an_answer_that_is_lost_was_performed(upstream: Upstream, proxy: AwsFaultProxy) -> None:
    proxy._error_share = 1.0
    for number in range(100):
        before = len(upstream.requests)
        try:
            await call(proxy, **{"amz-sdk-invocation-id": str(number)})
        except httpx.TransportError:
            was_performed = len(upstream.requests) > before
            assert was_performed == (proxy._planned[str(number)].fault is AwsFault.ANSWER_LOST)
            if was_performed:
                return
    raise AssertionError("no answer was lost")
