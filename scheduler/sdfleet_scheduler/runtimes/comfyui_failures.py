"""What ComfyUI's answers to a bad prompt, and a node's exceptions, mean for the task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx

from sdfleet.domain.model_names import is_model_input
from sdfleet.domain.task import JsonObject
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui_server import json_object

VALIDATION_FAILED = "validation_failed"
MODEL_NOT_FOUND = "model_not_found"
EXECUTION_FAILED = "execution_failed"
OUT_OF_MEMORY = "out_of_memory"

#: A sentence or three; tracebacks and lists of all models are longer.
_MAX_MESSAGE = 1_000
_MAX_CAUSE = 400
#: Shorter values are numbers, names and switches, which a message may well repeat.
_PROMPT_LENGTH = 24
#: The server's own folders are nobody's business; the file's name helps.
_FOLDERS = re.compile(r"(?<![^\s'\"(=\[,])(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\":,]+)+[\\/](?=[^\\/\s'\":,])")

_OUT_OF_MEMORY = re.compile(
    r"OutOfMemory|MemoryError|out of memory|Allocation on device|ALLOC_FAILED|can't allocate memory", re.IGNORECASE
)
#: After these every further use of the device fails: only a new process helps.
_DEVICE_LOST = re.compile(
    r"AcceleratorError|CUDA error|HIP error|cudaError|illegal memory access|device-side assert"
    r"|unspecified launch failure|CUDNN_STATUS_(?:INTERNAL_ERROR|EXECUTION_FAILED|MAPPING_ERROR)"
    r"|CUBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)|device lost|fell off the bus"
)
#: The world around the server, not the workflow.
_PASSING = re.compile(
    r"Connection|Timeout|TemporaryFailure|No space left on device|Errno 28|Too many open files|Errno 24"
    r"|Resource temporarily unavailable|MaxRetryError|NameResolutionError"
)


def refused(response: httpx.Response, graph: JsonObject) -> RuntimeFailure:
    """For an answer to a submission that is not 200."""
    status = response.status_code
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return RuntimeFailure.permanent(
            VALIDATION_FAILED, "ComfyUI refused the workflow because it is too large; use links for large inputs."
        )
    body = json_object(response)
    if status == httpx.codes.BAD_REQUEST and body:
        return invalid(body, graph)
    return RuntimeFailure.transient("submit_failed", f"ComfyUI answered the workflow with status {status}.")


def invalid(body: JsonObject, graph: JsonObject) -> RuntimeFailure:
    """For a body with `error` or `node_errors`: every node's problems, by node and class."""
    reasons = list(_node_reasons(body.get("node_errors")))
    error = body.get("error")
    if not reasons and isinstance(error, dict):
        reasons = [_sentence(error.get("message"), error.get("details"))]
    elif not reasons:
        reasons = [str(error or "no reason given")]
    text = "; ".join(dict.fromkeys(reasons))
    code = MODEL_NOT_FOUND if _lacks_only_models(body.get("node_errors")) else VALIDATION_FAILED
    return RuntimeFailure.permanent(code, f"ComfyUI refused the workflow: {_clean(text, graph)}")


def _lacks_only_models(node_errors: Any) -> bool:
    """What the workflow names is neither in ComfyUI's folders nor, or it would be there by now, in the model bucket."""
    nodes = [node for node in node_errors.values() if isinstance(node, dict)] if isinstance(node_errors, dict) else []
    found = [
        error.get("type") == "value_not_in_list"
        and is_model_input(str(node.get("class_type")), str((error.get("extra_info") or {}).get("input_name")))
        for node in nodes
        for error in node.get("errors") or [{}]
    ]
    return bool(found) and all(found)


def _node_reasons(node_errors: Any) -> Iterator[str]:
    for node_id, node in node_errors.items() if isinstance(node_errors, dict) else ():
        name = f"node {node_id} ({node.get('class_type')})"
        for error in node.get("errors") or [{"message": "is not valid"}]:
            yield f"{name}: {_sentence(error.get('message'), error.get('details'))}"


def _sentence(message: Any, details: Any) -> str:
    return f"{message}: {details}" if details else str(message)


def ended_badly(entry: JsonObject, graph: JsonObject) -> RuntimeFailure | None:
    """For a history entry: why its prompt failed; None if it succeeded."""
    status = entry.get("status") or {}
    if status.get("status_str") != "error":
        return None
    messages = {message[0]: message[1] for message in status.get("messages", ())}
    if "execution_interrupted" in messages:
        return RuntimeFailure.interrupted("Somebody interrupted ComfyUI while it ran this workflow.")
    return of_exception(messages.get("execution_error") or {}, graph)


def of_exception(error: JsonObject, graph: JsonObject) -> RuntimeFailure:
    """For an `execution_error`. Of its inputs and outputs, which hold tensors and paths, nothing is used."""
    kind = str(error.get("exception_type") or "an unknown error")
    cause = str(error.get("exception_message") or "").strip()
    node = f"node {error.get('node_id')} ({error.get('node_type')})"
    told = f"ComfyUI failed at {node} with {kind}: {_clean(cause, graph, _MAX_CAUSE)}"
    evidence = f"{kind}: {cause}"
    if _OUT_OF_MEMORY.search(evidence):
        return RuntimeFailure.transient(OUT_OF_MEMORY, f"{told} Ask for fewer or smaller pictures if it happens again.")
    if _DEVICE_LOST.search(evidence):
        return RuntimeFailure.broken(told)
    if _PASSING.search(evidence):
        return RuntimeFailure.transient(EXECUTION_FAILED, told)
    return RuntimeFailure.permanent(EXECUTION_FAILED, told)


def _clean(text: str, graph: JsonObject, length: int = _MAX_MESSAGE) -> str:
    """Without the request's prompts and the server's folders, in one line."""
    for value in sorted(_prompts(graph), key=len, reverse=True):
        text = text.replace(value, "[...]")
    text = " ".join(_FOLDERS.sub("", text).split())
    text = text if len(text) <= length else f"{text[: length - 3]}..."
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _prompts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _PROMPT_LENGTH and any(character.isspace() for character in value):
            yield from (value, repr(value)[1:-1])
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _prompts(item)
