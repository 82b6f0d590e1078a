from __future__ import annotations

import asyncio

import httpx
import pytest

from sdfleet.domain.retry import FailureKind
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime, sdwebui_client
from sdfleet_scheduler.runtimes.sdwebui_failures import failure_of
from webui_double import WebUi, a_webui_job, recorded

#: Requests that were answered 200 are not failures of the server: see the names that are looked up before.
_RECORDED = [
    ("err-alwayson-not-dict", "validation_failed"),
    ("err-bad-override-key", "validation_failed"),
    ("err-empty-body", "validation_failed"),
    ("err-extra-missing", "validation_failed"),
    ("err-img2img-bad-init", "invalid_image"),
    ("err-img2img-bad-mask", "invalid_image"),
    ("err-img2img-missing-init", "invalid_image"),
    ("err-img2img-url-init", "invalid_image"),
    ("err-neg-size", "validation_failed"),
    ("err-options-unknown-model", "model_not_found"),
    ("err-selectable-as-alwayson", "validation_failed"),
    ("err-unknown-alwayson-script", "validation_failed"),
    ("err-unknown-script-name", "validation_failed"),
    ("err-wrong-type-steps", "validation_failed"),
    ("err-wrong-type-width-null", "validation_failed"),
    ("err-zero-steps", "validation_failed"),
    ("extra-bad-image", "invalid_image"),
    ("extra-empty-image", "invalid_image"),
    ("extra-http-image", "invalid_image"),
    ("extra-unknown-upscaler", "validation_failed"),
]
_PERMANENT = [
    (flavour, name, code)
    for name, code in _RECORDED
    for flavour in ("a1111", "forge")
    if recorded(flavour, name).status_code != httpx.codes.OK
]


@pytest.mark.parametrize(("flavour", "name", "code"), _PERMANENT)
def test_a_bad_request_is_permanent_whatever_its_status(flavour: str, name: str, code: str) -> None:
    failure = failure_of(recorded(flavour, name), option_names=("no_such_setting",))

    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, code)


@pytest.mark.parametrize(
    ("flavour", "name", "code"),
    [
        ("a1111", "err-cuda-oom-simulated", "out_of_memory"),
        ("a1111", "err-cpu-oom-real", "out_of_memory"),
        ("forge", "err-oom-simulated", "out_of_memory"),
        ("a1111", "nan-fixture", "nan_in_picture"),
        ("a1111", "corrupt-override", "model_unreadable"),
        ("a1111", "err-batch0", "runtime_error"),
        ("forge", "err-batch0", "runtime_error"),
    ],
)
def test_what_may_go_well_next_time_is_transient(flavour: str, name: str, code: str) -> None:
    failure = failure_of(recorded(flavour, name))

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, code)


def test_an_illegal_memory_access_loses_the_server() -> None:
    failure = failure_of(recorded("a1111", "err-cuda-illegal-simulated"))

    assert failure.kind is FailureKind.RUNTIME_LOST
    assert "must be restarted" in str(failure)


def test_running_out_of_cuda_memory_does_not_lose_the_server() -> None:
    answer = {"error": "RuntimeError", "errors": "CUDA error: out of memory"}

    assert failure_of(httpx.Response(500, json=answer)).code == "out_of_memory"


def test_an_unknown_setting_is_named() -> None:
    failure = failure_of(recorded("a1111", "err-bad-override-key"), option_names=("no_such_setting",))

    assert str(failure) == "content.override_settings.no_such_setting: the WebUI has no such setting."


def test_a_key_error_of_the_servers_own_is_not_blamed_on_the_request() -> None:
    assert failure_of(recorded("a1111", "err-bad-override-key")).kind is FailureKind.TRANSIENT


def test_a_refusal_names_the_bad_field_without_what_stood_in_it() -> None:
    failure = failure_of(recorded("forge", "err-wrong-type-steps"))

    assert str(failure).startswith("The WebUI refuses the request: steps: Input should be a valid integer")
    assert '"abc"' not in str(failure)


def test_a_starting_server_has_no_api_yet() -> None:
    failure = failure_of(httpx.Response(404, json={"detail": "Not Found"}))

    assert failure.kind is FailureKind.RUNTIME_LOST
    assert "--api" in str(failure)


def test_a_password_is_asked_for_clearly() -> None:
    assert "http://user:password@" in str(failure_of(httpx.Response(401, json={"detail": "Incorrect username"})))


def test_long_texts_are_cut() -> None:
    assert len(str(failure_of(httpx.Response(500, text="x" * 100_000)))) < 400


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
    ],
)
async def test_a_connection_that_breaks_loses_the_server(error: Exception) -> None:
    webui = WebUi()
    webui.answer = error

    with pytest.raises(RuntimeFailure) as caught:
        await webui.runtime().generate(a_webui_job(), lambda share: None)

    assert caught.value.kind is FailureKind.RUNTIME_LOST
    assert "http://127.0.0.1:7860" in str(caught.value)


async def test_a_server_that_dies_in_the_middle_of_a_job_is_lost() -> None:
    """On a real socket: the lists and the state are answered, the job's connection is closed."""
    webui = WebUi()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        if method == "GET":
            body = (await webui.client().get(path)).content
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        runtime = SdWebUiRuntime(sdwebui_client(f"http://user:secret@127.0.0.1:{port}"))
        with pytest.raises(RuntimeFailure) as caught:
            await runtime.generate(a_webui_job(), lambda share: None)
        await runtime.close()

    assert caught.value.kind is FailureKind.RUNTIME_LOST
    assert f"http://127.0.0.1:{port} closed the connection in the middle of a request" in str(caught.value)
    assert "secret" not in str(caught.value)
