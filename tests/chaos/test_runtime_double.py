"""The runtime that the fault tester strikes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from io import BytesIO

import httpx
import pytest
from PIL import Image

from sdfleet_local.chaos.runtime_double import RuntimeDouble, picture_of
from sdfleet_local.chaos.schedule import FaultKind


@pytest.fixture
async def double() -> AsyncIterator[RuntimeDouble]:
    double = RuntimeDouble(seed=1, longest_job_s=0.06)
    await double.start()
    yield double
    await double.close()


@pytest.fixture
async def client(double: RuntimeDouble) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=double.url.replace("{instance_id}", "i-1"), trust_env=False) as client:
        yield client


def test_a_tasks_picture_is_its_own_and_always_the_same() -> None:
    assert Image.open(BytesIO(picture_of("one"))).size == (16, 16)
    assert picture_of("one") == picture_of("one") != picture_of("two")


async def test_a_job_is_answered_with_the_tasks_picture(double: RuntimeDouble, client: httpx.AsyncClient) -> None:
    answer = (await client.post("/generate", json={"task_id": "one"})).json()
    assert base64.b64decode(answer["files"][0]["base64"]) == picture_of("one")
    assert [(job.task_id, job.instance_id, job.outcome) for job in double.jobs] == [("one", "i-1", "answered")]


@pytest.mark.parametrize(
    ("kind", "status"),
    [(FaultKind.RUNTIME_ERRORS, 500), (FaultKind.RUNTIME_OOM, 500), (FaultKind.RUNTIME_GARBAGE, 200)],
)
async def test_a_fault_of_jobs_meets_as_many_as_it_says(
    double: RuntimeDouble, client: httpx.AsyncClient, kind: FaultKind, status: int
) -> None:
    await double.strike(kind, "i-1", lasts_s=0, jobs=1)
    first = await client.post("/generate", json={"task_id": "one"})
    assert first.status_code == status
    with pytest.raises((ValueError, KeyError)):
        first.json()["files"]
    assert "files" in (await client.post("/generate", json={"task_id": "one"})).json()


async def test_a_dead_runtime_cuts_its_job_and_answers_nobody(double: RuntimeDouble, client: httpx.AsyncClient) -> None:
    job = asyncio.create_task(client.post("/generate", json={"task_id": "one"}))
    while not double.jobs:
        await asyncio.sleep(0.001)
    await double.strike(FaultKind.RUNTIME_DIES, "i-1", lasts_s=60, jobs=0)
    with pytest.raises(httpx.TransportError):
        await job
    with pytest.raises(httpx.TransportError):
        await client.get("/health")
    assert (await client.get(double.url.replace("{instance_id}", "i-2") + "/health")).is_success


async def test_a_hung_runtime_answers_nothing(double: RuntimeDouble, client: httpx.AsyncClient) -> None:
    await double.strike(FaultKind.RUNTIME_HANGS, "i-1", lasts_s=60, jobs=0)
    with pytest.raises(httpx.ReadTimeout):
        await client.get("/health", timeout=0.1)


async def test_all_runtimes_at_once_refuse_connections_and_come_back(
    double: RuntimeDouble, client: httpx.AsyncClient
) -> None:
    await double.strike_all(lasts_s=0.05)
    with pytest.raises(httpx.ConnectError):
        await client.get("/health")
    await asyncio.sleep(0.1)
    assert (await client.get("/health")).is_success


async def test_an_interrupt_ends_the_job(double: RuntimeDouble, client: httpx.AsyncClient) -> None:
    await double.strike(FaultKind.RUNTIME_SLOW, "i-1", lasts_s=60, jobs=0)
    job = asyncio.create_task(client.post("/generate", json={"task_id": "one"}))
    while not double.jobs:
        await asyncio.sleep(0.001)
    await client.post("/interrupt", json={"task_id": "one"})
    assert (await job).status_code == 409
