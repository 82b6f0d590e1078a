"""The scheduler's own HTTP face."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from builders import NOON
from scheduler_harness import Harness
from sdfleet.domain.interruption import Notice, NoticeKind
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.app import build_app
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.identity import Identity
from sdfleet_scheduler.interruption_watch import InterruptionWatch
from sdfleet_scheduler.metadata import InstanceMetadata, metadata_client
from sdfleet_scheduler.status import StatusBoard


@pytest.fixture
def harness() -> Harness:
    return Harness()


def a_client(harness: Harness) -> httpx.AsyncClient:
    identity = Identity("i-1", "1.0.0")
    service = InstanceMetadata(metadata_client("http://127.0.0.1:1"))
    watch = InterruptionWatch(service, harness.drain, FakeClock(), drain_timeout=timedelta(seconds=75))
    board = StatusBoard(
        identity, harness.deployment.runtimes[0], harness.executor, harness.health, harness.drain, watch
    )
    notice = Notice(NoticeKind.OPERATOR, NOON + timedelta(seconds=75))
    app = build_app(identity, board, harness.instruments, begin_drain=lambda: harness.drain.begin(notice))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scheduler")


async def test_a_process_whose_runtime_is_down_is_alive_but_not_ready(harness: Harness) -> None:
    async with a_client(harness) as client:
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "the runtime is not ready"


async def test_a_draining_instance_is_not_ready_and_says_why(harness: Harness) -> None:
    harness.drain.begin(Notice(NoticeKind.SIGTERM, NOON))
    async with a_client(harness) as client:
        assert (await client.get("/readyz")).json()["reason"] == "draining: sigterm"


async def test_the_metrics_count_what_ended_here(harness: Harness) -> None:
    harness.submit()
    await harness.run_next()
    async with a_client(harness) as client:
        text = (await client.get("/metrics")).text
    assert 'sdfleet_tasks_ended_total{status="succeeded"} 1.0' in text
    assert "sdfleet_generation_seconds_count 1.0" in text


async def test_the_status_names_instance_release_and_runtime(harness: Harness) -> None:
    async with a_client(harness) as client:
        view = (await client.get("/v1/status")).json()
    assert (view["instance_id"], view["release"], view["runtime"]) == ("i-1", "1.0.0", "sdruntime")
    assert view["tasks"] == []
    assert view["draining"] is None


async def test_an_operator_drains_the_instance(harness: Harness) -> None:
    async with a_client(harness) as client:
        answer = await client.post("/v1/drain", json={})
    assert answer.status_code == 202
    assert answer.json() == {"kind": "operator", "deadline": "2026-11-02T12:01:15+00:00"}
    assert harness.drain.notice is not None
    assert harness.drain.notice.kind is NoticeKind.OPERATOR


async def test_an_operators_drain_never_lengthens_a_deadline(harness: Harness) -> None:
    harness.drain.begin(Notice(NoticeKind.SPOT_INTERRUPTION, NOON))
    async with a_client(harness) as client:
        answer = await client.post("/v1/drain", json={})
    assert answer.json() == {"kind": "spot_interruption", "deadline": "2026-11-02T12:00:00+00:00"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_a_web_page_cannot_drain_the_instance(harness: Harness, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    async with a_client(harness) as client:
        answer = await client.post("/v1/drain", content=b"{}", headers=headers)
    assert answer.status_code == 422
    assert not harness.drain.is_draining


def test_a_drain_is_set_once() -> None:
    drain = Drain()
    drain.begin(Notice(NoticeKind.SIGTERM, NOON))
    drain.begin(Notice(NoticeKind.TERMINATION, NOON + timedelta(hours=1)))
    assert drain.notice == Notice(NoticeKind.SIGTERM, NOON)
