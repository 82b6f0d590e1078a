"""A task's content made into the graph that ComfyUI gets: files uploaded, outputs named for this run alone."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import httpx

from sdfleet.domain.content import Path, decode_image, format_path, replaced, sniff
from sdfleet.domain.task import JsonObject
from sdfleet.domain.workflow import problems, unwrap_workflow
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import InputFile, Job, RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui_server import ComfyUiServer, json_object

INVALID_INPUT = "invalid_input"
#: Beside the files that people put into ComfyUI's input folder.
UPLOAD_FOLDER = "sdfleet"
#: Inputs that name a file: LoadImage and LoadImageMask, LoadAudio, LoadVideo, and the custom nodes that follow them.
_FILE_INPUTS = {"image", "mask", "video", "audio", "file"}
#: No file system takes a longer name, so it is the file itself.
_MAX_FILE_NAME = 255
_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)[;,]", re.IGNORECASE)
#: Nodes that take the file itself as text, as the base64 loaders of several node packs do.
_TAKES_BASE64 = re.compile(r"base64", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NODE_NAME = 40


@dataclass(frozen=True)
class _Upload:
    #: In the graph.
    path: Path
    data: bytes = field(repr=False)
    extension: str
    content_type: str


def graph_of(job: Job) -> JsonObject:
    """The job's workflow, checked: nothing that would wedge the server gets past here.

    Raises:
        RuntimeFailure: permanent, with every problem.
    """
    found = problems(job.content, "content")
    if found:
        text = "; ".join(f"{problem.path} {problem.message}" for problem in found)
        raise RuntimeFailure.permanent("invalid_workflow", f"The workflow is not valid: {text}.")
    graph = unwrap_workflow(job.content)
    # A node's other keys (`is_changed`, say) would reach ComfyUI's caches.
    return {node_id: {key: node[key] for key in ("class_type", "inputs")} for node_id, node in graph.items()}


def with_own_names(graph: JsonObject, folder: str) -> JsonObject:
    """Every saving node writes into `folder` and nowhere else.

    Without that, a prompt like one before is answered from ComfyUI's cache with the names of that one's files, which
    may be gone; and tasks would share files.
    """
    named = {}
    for node_id, node in graph.items():
        class_type, inputs = node["class_type"], node["inputs"]
        if class_type == "SaveImageWebsocket":
            # Its pictures go over the websocket and are lost with it; the same picture as a file is not.
            class_type, inputs = "SaveImage", {**inputs, "filename_prefix": ""}
        if "filename_prefix" in inputs:
            name = _NOT_IN_NAMES.sub("_", node_id)[:_MAX_NODE_NAME]
            inputs = {**inputs, "filename_prefix": f"{folder}/{name}"}
        named[node_id] = {"class_type": class_type, "inputs": inputs}
    return named


async def with_uploads(graph: JsonObject, job: Job, server: ComfyUiServer) -> JsonObject:
    """Linked and inlined files put into ComfyUI's input folder, and their names in place of them.

    Raises:
        RuntimeFailure: permanent and naming the field, where an input holds no file.
        ServerUnreachable
    """
    values: dict[Path, Any] = {}
    names: dict[str, str] = {}
    inlined = [await offload(_decoded, *found) for found in _inlined(graph)]
    for upload in [*_linked(graph, job), *inlined]:
        node = graph[str(upload.path[0])]
        if _TAKES_BASE64.search(node["class_type"]):
            values[upload.path] = base64.b64encode(upload.data).decode()
            continue
        # The same bytes have the same name: ComfyUI keeps one file of them, and its cached nodes stay valid.
        name = f"{hashlib.sha256(upload.data).hexdigest()[:32]}.{upload.extension}"
        if name not in names:
            names[name] = await _uploaded(upload, name, server)
        values[upload.path] = names[name]
    return replaced(graph, values) if values else graph


def _linked(graph: JsonObject, job: Job) -> Iterator[_Upload]:
    for file in job.inputs:
        path = file.path[1:] if file.path[:1] == ("prompt",) and "prompt" not in graph else file.path
        # A link beside the graph, or in a node's title, is not forwarded and needs no file.
        if len(path) > 2 and path[0] in graph and path[1] == "inputs":
            yield _Upload(path, file.data, _extension(file), file.content_type)


def _extension(file: InputFile) -> str:
    return PurePath(file.name).suffix.lstrip(".") or "bin"


def _inlined(graph: JsonObject) -> Iterator[tuple[Path, str, str | None]]:
    """Path, value and declared type of every file that stands in the workflow itself."""
    for node_id, node in graph.items():
        if _TAKES_BASE64.search(node["class_type"]):
            continue
        for name, value in node["inputs"].items():
            if name in _FILE_INPUTS and isinstance(value, str):
                uri = _DATA_URI.match(value)
                if uri or len(value) > _MAX_FILE_NAME:
                    yield (node_id, "inputs", name), value, uri["type"].lower() if uri else None


def _decoded(path: Path, value: str, declared: str | None) -> _Upload:
    data = decode_image(value)
    if data is None:
        raise _no_file(path, "it is neither a link, a file's name, a data URI nor base64")
    known = sniff(data)
    if known:
        extension, content_type = known
    elif declared and declared.startswith(("audio/", "video/")):
        extension, content_type = (mimetypes.guess_extension(declared) or ".bin")[1:], declared
    else:
        raise _no_file(path, "the decoded bytes are no known picture, video or audio format")
    return _Upload(path, data, extension, content_type)


async def _uploaded(upload: _Upload, name: str, server: ComfyUiServer) -> str:
    """The name as the node wants it: ComfyUI renames what would overwrite another file."""
    response = await server.upload(name, upload.data, content_type=upload.content_type, subfolder=UPLOAD_FOLDER)
    if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        raise _no_file(upload.path, f"ComfyUI takes no file of {len(upload.data)} bytes; use a smaller one")
    if response.status_code != httpx.codes.OK:
        raise RuntimeFailure.transient(
            "upload_failed", f"ComfyUI answered the upload for {_name(upload.path)} with status {response.status_code}."
        )
    stored = json_object(response) or {"name": name, "subfolder": UPLOAD_FOLDER}
    return f"{stored['subfolder']}/{stored['name']}" if stored.get("subfolder") else str(stored["name"])


def _no_file(path: Path, reason: str) -> RuntimeFailure:
    return RuntimeFailure.permanent(INVALID_INPUT, f"{_name(path)} holds no usable file: {reason}.")


def _name(path: Path) -> str:
    return f"content.{format_path(path)}"
