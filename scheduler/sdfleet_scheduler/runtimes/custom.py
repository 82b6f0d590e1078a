"""Adapter for any other server that speaks the contract of `docs/examples/custom_runtime.py`.

::

    POST /generate  {"task_id", "tasktype", "content", "inputs": {"init_images[0]": "/path/to/file.png"}}
                    200 {"files": [{"name", "content_type", "base64" or "path"}], "output": {...}}
                    4xx, 5xx {"error": {"code", "message", "permanent"}}
    GET  /health    200 when a job would run
    POST /interrupt {"task_id"}; optional
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from sdfleet.domain.content import decode_image, format_path, sniff
from sdfleet.telemetry import logs
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import (
    FileReference,
    Generation,
    Job,
    OutputFile,
    ProgressCallback,
    RuntimeFailure,
)
from sdfleet_scheduler.runtimes.cancellation import to_the_end
from sdfleet_scheduler.runtimes.connection import local_client, translated

log = logs.get_logger(__name__)

#: A server that works may be slow to answer its health route; above it, it counts as not ready.
HEALTH_TIMEOUT = timedelta(seconds=5)
#: From the interrupt to the end of the job; as long as we give the WebUI.
STOP_WITHIN = timedelta(seconds=30)
#: A result file is read into memory, as it is uploaded from there.
MAX_FILE_BYTES = 1024 * 1024 * 1024
#: For people; a server's text can be a page.
_MAX_TEXT = 300


def custom_client(base_url: str) -> httpx.AsyncClient:
    return local_client(base_url)


class CustomRuntime:
    def __init__(
        self, client: httpx.AsyncClient, *, scratch: Path | None = None, stop_within: timedelta = STOP_WITHIN
    ) -> None:
        """`scratch`: where a job's input files are put for the server; None: the system's temporary folder."""
        self._client = client
        self._scratch = scratch
        self._stop_within = stop_within

    async def is_ready(self) -> bool:
        try:
            response = await self._client.get("/health", timeout=HEALTH_TIMEOUT.total_seconds())
        except httpx.HTTPError:
            return False
        return response.status_code == httpx.codes.OK

    async def generate(self, job: Job, on_progress: ProgressCallback) -> Generation:
        directory = await offload(_made_directory, self._scratch)
        try:
            inputs = await offload(_write_inputs, job, directory)
            await job.turn()
            response = await self._send(job, inputs)
            job.on_free()
            # Before the directory goes: the server may have put its results there.
            return await offload(_generation_of, response)
        finally:
            await to_the_end(offload(shutil.rmtree, directory, ignore_errors=True))

    async def _send(self, job: Job, inputs: dict[str, str]) -> httpx.Response:
        body = {"task_id": job.task_id, "tasktype": job.tasktype, "content": job.content, "inputs": inputs}
        sending = asyncio.create_task(self._post(await offload(_encoded, body)))
        try:
            # A bare `await` would cancel the request, and with it the only sign that the server is done.
            response = await asyncio.shield(sending)
        except asyncio.CancelledError:
            await to_the_end(self._stop(job, sending))
            raise
        if response.status_code != httpx.codes.OK:
            raise _failure_of(response)
        return response

    async def _post(self, body: bytes) -> httpx.Response:
        with translated(self._client):
            return await self._client.post("/generate", content=body, headers={"content-type": "application/json"})

    async def _stop(self, job: Job, sending: asyncio.Task[httpx.Response]) -> None:
        """Ask the server to drop the job and wait until it has."""
        with suppress(httpx.HTTPError):
            await self._client.post(
                "/interrupt", json={"task_id": job.task_id}, timeout=self._stop_within.total_seconds()
            )
        await asyncio.wait({sending}, timeout=self._stop_within.total_seconds())
        if not sending.done():
            log.warning("runtime.stop_timed_out")
            sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async def close(self) -> None:
        await self._client.aclose()


def _made_directory(parent: Path | None) -> Path:
    return Path(tempfile.mkdtemp(prefix="sdfleet-", dir=parent))


def _write_inputs(job: Job, directory: Path) -> dict[str, str]:
    """Path in the content → local file."""
    files = {}
    for file in job.inputs:
        target = directory / file.name
        target.write_bytes(file.data)
        files[format_path(file.path)] = str(target)
    return files


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def _generation_of(response: httpx.Response) -> Generation:
    answer = _object(response)
    entries = answer.get("files")
    if not isinstance(entries, list):
        raise _bad_answer('has no list "files"')
    files = tuple(_file(index, entry) for index, entry in enumerate(entries))
    listed = [
        {**{key: value for key, value in entry.items() if key not in ("base64", "path")}, "file": FileReference(index)}
        for index, entry in enumerate(entries)
    ]
    return Generation(files=files, output={**answer, "files": listed})


def _file(index: int, entry: Any) -> OutputFile:
    at = f"files[{index}]"
    if not isinstance(entry, dict):
        raise _bad_answer(f"{at} is no object")
    encoded, path = entry.get("base64"), entry.get("path")
    if isinstance(encoded, str):
        data = decode_image(encoded)
        if data is None:
            raise _bad_answer(f"{at}.base64 is not base64, or empty")
    elif isinstance(path, str):
        data = _read(at, Path(path))
    else:
        raise _bad_answer(f'{at} has neither "base64" nor "path"')
    return OutputFile(data=data, name=_text(entry.get("name")), content_type=_text(entry.get("content_type")))


def _read(at: str, path: Path) -> bytes:
    try:
        if not path.is_file():
            raise _bad_answer(f"{at}.path is no file that the scheduler can see")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _bad_answer(f"{at}.path has more than {MAX_FILE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise _bad_answer(f"{at}.path cannot be read: {error.strerror}") from error
    # The server is not trusted: a path must not be a way to publish this machine's other files.
    if sniff(data) is None:
        raise _bad_answer(f"{at}.path is no picture, video or audio file; send other kinds as base64")
    return data


def _failure_of(response: httpx.Response) -> RuntimeFailure:
    error: Any = None
    with suppress(ValueError):
        body = json.loads(response.content)
        error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    status = response.status_code
    code = _text(error.get("code")) or "runtime_error"
    said = _text(error.get("message"))
    message = said[:_MAX_TEXT] if said else f"The runtime answered HTTP {status} without saying why."
    permanent = error.get("permanent")
    if not isinstance(permanent, bool):
        permanent = 400 <= status < 500 and status not in (408, 425, 429)
    return RuntimeFailure.permanent(code, message) if permanent else RuntimeFailure.transient(code, message)


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content, parse_constant=lambda _: None)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _bad_answer("is no JSON object")
    return body


def _bad_answer(problem: str) -> RuntimeFailure:
    return RuntimeFailure.transient("bad_answer", f"The custom runtime's answer {problem}.")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
