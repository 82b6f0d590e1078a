"""What an error answer of the WebUI means. Its status says little: a bad picture is a 500 like a GPU fault."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import httpx

from sdfleet_scheduler.runtimes.base import RuntimeFailure

OUT_OF_MEMORY = "out_of_memory"

#: The driver's context is gone: every later job of this process fails too.
_GPU_LOST = re.compile(
    r"illegal memory access|device-side assert|unspecified launch failure|CUDA error|HIP error|cuDNN error"
    r"|CUBLAS_STATUS_(?!ALLOC_FAILED)|CUDA driver|driver shutting down|GPU is lost|no CUDA GPUs are available",
    re.IGNORECASE,
)
_OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|can't allocate memory|Cannot allocate memory|Allocation on device"
    r"|CUBLAS_STATUS_ALLOC_FAILED|^MemoryError",
    re.IGNORECASE,
)
_BAD_IMAGE = re.compile(
    r"Invalid encoded image|Invalid image url|cannot identify image|Request to local resource not allowed"
    r"|Requests not allowed|Init image not found|Image not found|Incorrect padding|image file is truncated",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"model '.*' not found|Could not find checkpoint|No checkpoints? found", re.IGNORECASE)
_BAD_REQUEST = re.compile(
    r"could not find upscaler|negative dimension|Expected [34]D|shapes cannot be multiplied"
    r"|Sizes of tensors must match|unsupported operand type|must match the size of tensor",
    re.IGNORECASE,
)
#: Exceptions that only a request can cause: the same again raises the same again.
_BAD_REQUEST_ERRORS = {"ZeroDivisionError", "AssertionError", "RequestValidationError"}
#: A message for people; a server's text can be a page.
_MAX_TEXT = 300


@dataclass(frozen=True)
class _Answer:
    error: str
    text: str


def failure_of(response: httpx.Response, *, option_names: Collection[str] = ()) -> RuntimeFailure:
    """The classified failure for an answer that is not 200.

    `option_names` are the keys of the request's `override_settings`: a bare KeyError names the unknown one.
    """
    status, answer = response.status_code, _read(response)
    said = f"{answer.error}: {answer.text}" if answer.error and answer.text else answer.error or answer.text
    evidence = f"{answer.error} {answer.text}".strip()
    if status in (401, 403):
        return RuntimeFailure.lost(
            "The WebUI asks for a password. Put it into the runtime's URL: http://user:password@..."
        )
    if status == 404 and answer.text in ("Not Found", ""):
        return RuntimeFailure.lost(
            "The WebUI has no API at this path: it is still starting, or was started without --api."
        )
    if _OUT_OF_MEMORY.search(evidence):
        return RuntimeFailure.transient(
            OUT_OF_MEMORY,
            f"The GPU has not enough memory for this request. Ask for fewer or smaller pictures. ({said})",
        )
    if _GPU_LOST.search(evidence):
        return RuntimeFailure.broken(f"The WebUI has lost its GPU and must be restarted. ({said})")
    if _BAD_IMAGE.search(answer.text):
        return RuntimeFailure.permanent(
            "invalid_image", f"The WebUI cannot read a picture of the request: {answer.text}"
        )
    if _NO_MODEL.search(answer.text):
        return RuntimeFailure.permanent("model_not_found", f"The WebUI does not have the model: {answer.text}")
    if answer.error == "KeyError" and answer.text.strip("'\"") in option_names:
        name = answer.text.strip("'\"")
        return RuntimeFailure.permanent(
            "validation_failed", f"content.override_settings.{name}: the WebUI has no such setting."
        )
    if 400 <= status < 500 and status not in (408, 429):
        return RuntimeFailure.permanent("validation_failed", f"The WebUI refuses the request: {said or status}")
    if answer.error in _BAD_REQUEST_ERRORS or _BAD_REQUEST.search(answer.text):
        return RuntimeFailure.permanent("validation_failed", f"The WebUI cannot do what the request asks for: {said}")
    if answer.error == "NansException":
        return RuntimeFailure.transient(
            "nan_in_picture",
            "The model made a picture of nothing but NaN. Its numbers overflow in half precision: start the WebUI with"
            " --no-half (or --no-half-vae), or use another model or VAE.",
        )
    if answer.error == "SafetensorError":
        return RuntimeFailure.transient(
            "model_unreadable", f"The WebUI cannot read the model's file; it is damaged or half copied. ({said})"
        )
    return RuntimeFailure.transient("runtime_error", f"The WebUI failed: {said or f'HTTP {status}'}")


def _read(response: httpx.Response) -> _Answer:
    try:
        body = json.loads(response.content)
    except ValueError:
        return _Answer("", _short(response.text))
    if not isinstance(body, dict):
        return _Answer("", "")
    # AUTOMATIC1111 puts the exception's text into `errors`, Forge into `message`; both put their own into `detail`.
    text = next((body[key] for key in ("detail", "errors", "message") if body.get(key)), "")
    return _Answer(str(body.get("error") or ""), _short(_problems(text) if isinstance(text, list) else str(text)))


def _problems(problems: list[Any]) -> str:
    """FastAPI's list of bad fields; without their `input`, which can be a prompt."""
    lines = []
    for problem in problems:
        if isinstance(problem, dict):
            where = ".".join(str(part) for part in problem.get("loc", ()) if part != "body")
            lines.append(f"{where}: {problem.get('msg')}" if where else str(problem.get("msg")))
    return "; ".join(lines)


def _short(text: str) -> str:
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}..."
