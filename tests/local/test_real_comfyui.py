"""The adapter against a real ComfyUI, named by SDFLEET_COMFYUI_URL; skipped without one.

Its server needs no model. Tests of a long or failing node need the custom nodes SdfleetSleep and SdfleetFail.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import time
import uuid
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import TaskType
from sdfleet_scheduler.runtimes.base import FileReference, InputFile, Job, RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui import ComfyUiRuntime, comfyui_client

URL = os.environ.get("SDFLEET_COMFYUI_URL", "")

pytestmark = pytest.mark.skipif(not URL, reason="SDFLEET_COMFYUI_URL names no ComfyUI")


@pytest.fixture
async def runtime() -> AsyncIterator[ComfyUiRuntime]:
    runtime = ComfyUiRuntime(comfyui_client(URL))
    yield runtime
    await runtime.close()


def a_job(content: dict[str, Any], *inputs: InputFile) -> Job:
    return Job(
        task_id="real", run="run-1", try_id=uuid.uuid4().hex, tasktype=TaskType.PIPELINE, content=content, inputs=inputs
    )


def a_picture(width: int = 8, height: int = 6) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress((b"\x00" + b"\xff\x80\x00" * width) * height)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def a_workflow(*, color: int = 0xFF8800, between: dict[str, Any] | None = None, count: int = 1) -> dict[str, Any]:
    graph: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": count, "color": color}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "mine"}},
    }
    if between:
        inputs = {"image": ["1", 0], **between["inputs"]}
        graph["2"] = {"class_type": between["class_type"], "inputs": inputs}
        graph["3"]["inputs"]["images"] = ["2", 0]
    return graph


def sleeping(seconds: float) -> dict[str, Any]:
    return a_workflow(between={"class_type": "SdfleetSleep", "inputs": {"seconds": seconds}})


async def skip_without(node: str) -> None:
    async with comfyui_client(URL) as client:
        if node not in (await client.get(f"/object_info/{node}")).json():
            pytest.skip(f"the server has no node {node}")


async def queue() -> dict[str, Any]:
    async with comfyui_client(URL) as client:
        body: dict[str, Any] = (await client.get("/queue")).json()
        return body


async def until_running() -> None:
    async with asyncio.timeout(10):
        while not (await queue())["queue_running"]:
            await asyncio.sleep(0.05)


async def failure_of(runtime: ComfyUiRuntime, job: Job) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as raised:
        await runtime.generate(job, lambda _: None)
    return raised.value


async def test_a_running_server_is_ready(runtime: ComfyUiRuntime) -> None:
    assert await runtime.is_ready()
    assert await runtime.is_ready()


async def test_a_workflow_gives_its_pictures(runtime: ComfyUiRuntime) -> None:
    generation = await runtime.generate(a_job(a_workflow(count=3)), lambda _: None)
    assert [size_of(file.data) for file in generation.files] == [(64, 48)] * 3
    images = generation.output["outputs"]["3"]["images"]
    assert [image["url"] for image in images] == [FileReference(0), FileReference(1), FileReference(2)]


async def test_the_same_workflow_again_gives_files_of_its_own(runtime: ComfyUiRuntime) -> None:
    first = await runtime.generate(a_job(a_workflow()), lambda _: None)
    second = await runtime.generate(a_job(a_workflow()), lambda _: None)
    folders = {run.output["outputs"]["3"]["images"][0]["subfolder"] for run in (first, second)}
    assert len(folders) == 2


async def test_a_job_leaves_nothing_in_the_queue(runtime: ComfyUiRuntime) -> None:
    await runtime.generate(a_job(a_workflow()), lambda _: None)
    assert (await queue()) == {"queue_running": [], "queue_pending": []}


async def test_a_linked_picture_is_uploaded_and_loaded(runtime: ComfyUiRuntime) -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "https://example.com/in.png"}},
        "2": {
            "class_type": "ImageScale",
            "inputs": {"image": ["1", 0], "upscale_method": "bilinear", "width": 32, "height": 24, "crop": "disabled"},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "mine"}},
    }
    linked = InputFile(path=("1", "inputs", "image"), name="in.png", content_type="image/png", data=a_picture())
    generation = await runtime.generate(a_job(graph, linked), lambda _: None)
    assert size_of(generation.files[0].data) == (32, 24)


async def test_an_inlined_picture_is_uploaded_and_loaded(runtime: ComfyUiRuntime) -> None:
    uri = "data:image/png;base64," + base64.b64encode(a_picture(10, 4)).decode()
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": uri}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    generation = await runtime.generate(a_job({"prompt": graph, "client_id": "me"}), lambda _: None)
    assert size_of(generation.files[0].data) == (10, 4)


async def test_a_picture_for_the_websocket_comes_as_a_file(runtime: ComfyUiRuntime) -> None:
    graph = a_workflow()
    graph["3"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    generation = await runtime.generate(a_job(graph), lambda _: None)
    assert size_of(generation.files[0].data) == (64, 48)


async def test_a_text_output_is_a_result_without_files(runtime: ComfyUiRuntime) -> None:
    graph = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": "hello"}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    generation = await runtime.generate(a_job(graph), lambda _: None)
    assert generation.files == ()
    assert generation.output["outputs"]["3"]["text"] == ["hello"]


async def test_progress_grows(runtime: ComfyUiRuntime) -> None:
    await skip_without("SdfleetSleep")
    seen: list[float] = []
    await runtime.generate(a_job(sleeping(0.5)), seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] < 1


async def test_a_bad_input_is_named(runtime: ComfyUiRuntime) -> None:
    graph = a_workflow()
    graph["1"]["inputs"]["width"] = -5
    failure = await failure_of(runtime, a_job(graph))
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "validation_failed")
    assert "node 1 (EmptyImage)" in str(failure)
    assert "width" in str(failure)


async def test_one_bad_output_of_two_fails_the_task_and_runs_nothing(runtime: ComfyUiRuntime) -> None:
    graph = a_workflow()
    graph["9"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}
    failure = await failure_of(runtime, a_job(graph))
    assert failure.kind is FailureKind.PERMANENT
    assert "node 9 (SaveImage)" in str(failure)
    assert (await queue()) == {"queue_running": [], "queue_pending": []}


async def test_a_failing_node_is_named_with_its_exception(runtime: ComfyUiRuntime) -> None:
    await skip_without("SdfleetFail")
    failure = await failure_of(runtime, a_job(a_workflow(between={"class_type": "SdfleetFail", "inputs": {}})))
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "execution_failed")
    assert "node 2 (SdfleetFail)" in str(failure)
    assert "made to fail" in str(failure)


async def test_a_corrupt_picture_fails_for_good(runtime: ComfyUiRuntime) -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "https://example.com/in.png"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "mine"}},
    }
    broken = InputFile(path=("1", "inputs", "image"), name="in.png", content_type="image/png", data=b"nothing")
    failure = await failure_of(runtime, a_job(graph, broken))
    assert failure.kind is FailureKind.PERMANENT
    assert "LoadImage" in str(failure)


async def test_a_cancelled_job_stops_at_the_server(runtime: ComfyUiRuntime) -> None:
    await skip_without("SdfleetSleep")
    job = asyncio.create_task(runtime.generate(a_job(sleeping(30)), lambda _: None))
    await until_running()
    began = time.monotonic()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert time.monotonic() - began < 5
    assert (await queue()) == {"queue_running": [], "queue_pending": []}


async def test_cancelling_the_one_that_waits_leaves_the_one_that_runs(runtime: ComfyUiRuntime) -> None:
    await skip_without("SdfleetSleep")
    first = asyncio.create_task(runtime.generate(a_job(sleeping(2)), lambda _: None))
    await until_running()
    second = asyncio.create_task(runtime.generate(a_job(sleeping(30)), lambda _: None))
    while not (await queue())["queue_pending"]:
        await asyncio.sleep(0.05)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert len((await first).files) == 1


async def test_a_neighbours_interrupt_is_told_from_a_failure(runtime: ComfyUiRuntime) -> None:
    await skip_without("SdfleetSleep")
    job = asyncio.create_task(failure_of(runtime, a_job(sleeping(30))))
    await until_running()
    async with comfyui_client(URL) as client:
        await client.post("/interrupt", json={})
    assert (await job).kind is FailureKind.INTERRUPTED


async def test_a_job_that_says_nothing_is_stopped_and_lost() -> None:
    await skip_without("SdfleetSleep")
    runtime = ComfyUiRuntime(comfyui_client(URL), hang_after=timedelta(milliseconds=20))
    failure = await failure_of(runtime, a_job(sleeping(30)))
    assert failure.kind is FailureKind.RUNTIME_LOST
    assert (await queue()) == {"queue_running": [], "queue_pending": []}
    await runtime.close()


async def test_the_next_job_is_waiting_at_the_server_when_one_ends(runtime: ComfyUiRuntime) -> None:
    jobs = [runtime.generate(a_job(a_workflow(color=n)), lambda _: None) for n in range(6)]
    for generation in await asyncio.gather(*jobs):
        assert len(generation.files) == 1


async def test_a_lost_websocket_costs_nothing(runtime: ComfyUiRuntime) -> None:
    await skip_without("SdfleetSleep")
    job = asyncio.create_task(runtime.generate(a_job(sleeping(1.5)), lambda _: None))
    await until_running()
    reader = runtime._socket._reader
    assert reader is not None
    reader.cancel()
    assert len((await job).files) == 1
