"""What the WebUI answered: pictures out of base64, and whether they are what was asked for."""

from __future__ import annotations

import json
from typing import Any

import pybase64

from sdfleet.domain.content import decode_image, sniff
from sdfleet.domain.task import JsonObject, TaskType
from sdfleet_scheduler.runtimes.base import FileReference, Generation, OutputFile, RuntimeFailure
from sdfleet_scheduler.runtimes.sdwebui_checkpoint import ran_instead
from sdfleet_scheduler.runtimes.sdwebui_request import WebUiRequest


def generation_of(body: bytes, request: WebUiRequest) -> Generation:
    """The pictures of a 200. Decodes tens of megabytes: call it through `offload`.

    Raises:
        RuntimeFailure: no picture, a partial result, or another model's.
    """
    answer = _parsed(body)
    info = _info(answer)
    _check_model(info, request)
    single = request.tasktype is TaskType.EXTRA_SINGLE_IMAGE
    images = [answer.get("image")] if single else answer.get("images")
    if not isinstance(images, list):
        raise RuntimeFailure.transient("no_picture", "The WebUI answered without pictures.")
    # Before the first image come grids of all: a by-product of save_images, not a result.
    first = info.get("index_of_first_image", 0)
    images = images[first if isinstance(first, int) and 0 <= first < len(images) else 0 :]
    if not images or any(not image for image in images):
        raise RuntimeFailure.transient(
            "no_picture", "The WebUI reported success but left out a picture. Its log says what went wrong."
        )
    if len(images) < request.least_images:
        # Counted, unlike an interrupt that was seen: an extension may leave out pictures every time.
        raise RuntimeFailure.transient(
            "incomplete_result", f"The WebUI made only {len(images)} of {request.least_images} pictures."
        )
    names = request.names if len(request.names) == len(images) else (None,) * len(images)
    files = tuple(_file(image, name) for image, name in zip(images, names, strict=True))
    references = [FileReference(index) for index in range(len(files))]
    output = {**answer, "image": references[0]} if single else {**answer, "images": references}
    return Generation(files=files, output=output)


def _parsed(body: bytes) -> JsonObject:
    try:
        # The server writes NaN where a number is none; JSON, and so the `.out` object, has no such thing.
        answer = json.loads(body, parse_constant=lambda _: None)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RuntimeFailure.transient("bad_answer", "The WebUI's answer is no JSON object. Is it a WebUI?")
    return answer


def _info(answer: JsonObject) -> JsonObject:
    """The answer's `info`: a JSON text inside the JSON. Upscaling has none."""
    text = answer.get("info")
    try:
        info = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return info if isinstance(info, dict) else {}


def _check_model(info: JsonObject, request: WebUiRequest) -> None:
    if request.checkpoint is None:
        return
    name, digest = info.get("sd_model_name"), info.get("sd_model_hash")
    other = ran_instead(request.checkpoint, name=_text(name), digest=_text(digest))
    if other is not None:
        raise RuntimeFailure.transient(
            "wrong_model",
            f"The WebUI made the pictures with {other} instead of {request.checkpoint.file}; they were thrown away.",
        )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _file(image: Any, name: str | None) -> OutputFile:
    data = _decoded(image) if isinstance(image, str) else None
    kind = sniff(data) if data else None
    if data is None or kind is None:
        raise RuntimeFailure.transient("bad_answer", "The WebUI's answer holds a picture that cannot be decoded.")
    return OutputFile(data=data, name=name, content_type=kind[1])


def _decoded(text: str) -> bytes | None:
    try:
        # A twentieth of the standard library's time, which is milliseconds for a picture.
        return pybase64.b64decode(text, validate=True) or None
    except ValueError:
        # A data URI, or lines: what an extension may make of it.
        return decode_image(text)
