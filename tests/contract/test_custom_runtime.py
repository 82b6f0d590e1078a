from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from sdfleet.domain.retry import FailureKind
from sdfleet.domain.task import TaskType
from sdfleet_scheduler.runtimes.base import FileReference, Generation, InputFile, Job, RuntimeFailure
from sdfleet_scheduler.runtimes.custom import CustomRuntime, custom_client

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "custom_runtime.py"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
URL = "http://127.0.0.1:9000"


def a_job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "task_id": "test-t2i",
        "run": "run-1",
        "try_id": "run-1-1",
        "tasktype": TaskType.TEXT_TO_IMAGE,
        "content": {"prompt": "a lighthouse", "width": 64, "height": 48},
    }
    return Job(**{**fields, **changes})


def a_runtime(answer: Callable[[httpx.Request], Any], scratch: Path, **options: Any) -> CustomRuntime:
    client = httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(answer), trust_env=False)
    return CustomRuntime(client, scratch=scratch, **options)


async def generated(runtime: CustomRuntime, job: Job | None = None) -> Generation:
    return await runtime.generate(job or a_job(), lambda share: None)


async def refused(answer: httpx.Response | Exception, scratch: Path) -> RuntimeFailure:
    def respond(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(RuntimeFailure) as caught:
        await generated(a_runtime(respond, scratch))
    return caught.value


def left_in(scratch: Path) -> list[str]:
    return [path.name for path in scratch.iterdir()]


def files(*entries: dict[str, Any], output: Any = None) -> httpx.Response:
    return httpx.Response(200, json={"files": list(entries), "output": output})


@pytest.fixture(scope="module")
def example_url() -> Iterator[str]:
    spec = importlib.util.spec_from_file_location("custom_runtime_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = type("QuietRuntime", (module.Runtime,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_the_example_server_makes_a_picture_of_the_size_asked_for(example_url: str, tmp_path: Path) -> None:
    runtime = CustomRuntime(custom_client(example_url), scratch=tmp_path)

    assert await runtime.is_ready()
    generation = await generated(runtime)
    await runtime.close()

    picture = Image.open(BytesIO(generation.files[0].data))
    assert (picture.size, picture.mode) == ((64, 48), "RGB")
    assert generation.output["output"] == {"width": 64, "height": 48}


async def test_the_example_server_says_what_is_wrong_with_a_request(example_url: str, tmp_path: Path) -> None:
    runtime = CustomRuntime(custom_client(example_url), scratch=tmp_path)

    with pytest.raises(RuntimeFailure, match="A side is 1 to 4096 pixels") as caught:
        await generated(runtime, a_job(content={"prompt": "x", "width": 0}))
    await runtime.close()

    assert (caught.value.kind, caught.value.code) == (FailureKind.PERMANENT, "validation_failed")


async def test_a_job_is_sent_with_its_fetched_links_as_local_files(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def respond(request: httpx.Request) -> httpx.Response:
        seen.update(json.loads(request.content))
        seen["bytes"] = Path(seen["inputs"]["init_images[0]"]).read_bytes()
        return files()

    link = InputFile(("init_images", 0), "input-1.png", "image/png", PNG)
    content = {"init_images": ["https://example.com/cat.png"]}
    await generated(a_runtime(respond, tmp_path), a_job(content=content, inputs=(link,)))

    assert (seen["task_id"], seen["tasktype"], seen["content"]) == ("test-t2i", "text-to-image", content)
    assert seen["bytes"] == PNG
    assert left_in(tmp_path) == []


async def test_files_come_as_base64_or_as_a_path(tmp_path: Path) -> None:
    made = tmp_path / "made.png"
    made.write_bytes(PNG)
    answer = files(
        {"name": "a.png", "content_type": "image/png", "base64": base64.b64encode(PNG).decode()},
        {"name": "b.png", "path": str(made)},
        output={"seed": 42},
    )

    generation = await generated(a_runtime(lambda _: answer, tmp_path))

    assert [file.data for file in generation.files] == [PNG, PNG]
    assert generation.output == {
        "files": [
            {"name": "a.png", "content_type": "image/png", "file": FileReference(0)},
            {"name": "b.png", "file": FileReference(1)},
        ],
        "output": {"seed": 42},
    }


async def test_a_result_may_lie_beside_the_inputs(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        source = Path(json.loads(request.content)["inputs"]["image"])
        source.with_name("result.png").write_bytes(PNG)
        return files({"path": str(source.with_name("result.png"))})

    link = InputFile(("image",), "input-1.png", "image/png", PNG)

    assert (await generated(a_runtime(respond, tmp_path), a_job(inputs=(link,)))).files[0].data == PNG


async def test_a_path_publishes_no_other_files_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "credentials"
    secret.write_text("aws_secret_access_key = x")

    failure = await refused(files({"path": str(secret)}), tmp_path)

    assert str(failure) == (
        "The custom runtime's answer files[0].path is no picture, video or audio file; send other kinds as base64."
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, text="hello"), "is no JSON object"),
        (httpx.Response(200, json={"output": 1}), 'has no list "files"'),
        (files({"name": "a.png"}), 'files[0] has neither "base64" nor "path"'),
        (files({"base64": "!!!"}), "files[0].base64 is not base64, or empty"),
        (files({"path": "/nowhere/a.png"}), "files[0].path is no file that the scheduler can see"),
        (files({"path": "/dev/zero"}), "files[0].path is no file that the scheduler can see"),
    ],
)
async def test_an_answer_out_of_the_contract_is_named_and_tried_again(
    answer: httpx.Response, said: str, tmp_path: Path
) -> None:
    failure = await refused(answer, tmp_path)

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "bad_answer")
    assert str(failure) == f"The custom runtime's answer {said}."


@pytest.mark.parametrize(
    ("status", "permanent", "kind"),
    [
        (400, None, FailureKind.PERMANENT),
        (400, False, FailureKind.TRANSIENT),
        (429, None, FailureKind.TRANSIENT),
        (500, None, FailureKind.TRANSIENT),
        (500, True, FailureKind.PERMANENT),
    ],
)
async def test_an_error_is_permanent_by_its_word_or_else_by_its_status(
    status: int, permanent: bool | None, kind: FailureKind, tmp_path: Path
) -> None:
    error = {"code": "no_such_style", "message": "There is no style 'x'."}
    body = {"error": error if permanent is None else {**error, "permanent": permanent}}

    failure = await refused(httpx.Response(status, json=body), tmp_path)

    assert (failure.kind, failure.code, str(failure)) == (kind, "no_such_style", "There is no style 'x'.")


async def test_an_error_without_words_tells_its_status(tmp_path: Path) -> None:
    assert str(await refused(httpx.Response(502, text="<html>"), tmp_path)) == (
        "The runtime answered HTTP 502 without saying why."
    )


async def test_a_broken_connection_loses_the_runtime(tmp_path: Path) -> None:
    failure = await refused(httpx.RemoteProtocolError("Server disconnected"), tmp_path)

    assert failure.kind is FailureKind.RUNTIME_LOST


@pytest.mark.parametrize("interrupt_status", [200, 404])
async def test_a_cancelled_job_is_interrupted_and_waited_for(interrupt_status: int, tmp_path: Path) -> None:
    started, released = asyncio.Event(), asyncio.Event()
    interrupted: list[Any] = []

    async def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/interrupt":
            interrupted.append(json.loads(request.content))
            released.set()
            return httpx.Response(interrupt_status)
        started.set()
        await released.wait()
        return files()

    generating = asyncio.create_task(generated(a_runtime(respond, tmp_path)))
    await started.wait()

    generating.cancel()

    with pytest.raises(asyncio.CancelledError):
        await generating
    assert interrupted == [{"task_id": "test-t2i"}]
    assert left_in(tmp_path) == []


async def test_a_server_that_does_not_stop_is_left_after_a_while(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/generate":
            started.set()
            await asyncio.Event().wait()
        return httpx.Response(404)

    runtime = a_runtime(respond, tmp_path, stop_within=timedelta(milliseconds=20))
    generating = asyncio.create_task(generated(runtime))
    await started.wait()

    generating.cancel()

    with pytest.raises(asyncio.CancelledError):
        await generating


@pytest.mark.parametrize(("status", "is_ready"), [(200, True), (503, False), (404, False)])
async def test_readiness_is_the_servers_word(status: int, is_ready: bool, tmp_path: Path) -> None:
    assert await a_runtime(lambda _: httpx.Response(status), tmp_path).is_ready() is is_ready


async def test_no_server_is_not_ready(tmp_path: Path) -> None:
    # Port 9 (discard) is closed everywhere.
    runtime = CustomRuntime(custom_client("http://127.0.0.1:9"), scratch=tmp_path)

    assert not await runtime.is_ready()
    await runtime.close()
