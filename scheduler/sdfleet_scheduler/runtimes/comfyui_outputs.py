"""What a finished prompt made: files of every kind, read back through `/view`, and texts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from sdfleet.domain.task import JsonObject
from sdfleet_scheduler.runtimes.base import FileReference, Generation, OutputFile, RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui_server import ComfyUiServer

#: The server reads files on its event loop: more at once are not faster, and delay everything else there.
_AT_ONCE = 4
#: Where ComfyUI puts results, and where previews.
_OUTPUT, _TEMP = "output", "temp"
#: Of a file's entry these are told; custom nodes add paths on the server (`fullpath`) and whole workflows.
_TOLD = ("filename", "subfolder", "type", "format", "frame_rate")
#: Flags that accompany files, not results.
_FLAGS = {"animated"}


@dataclass(frozen=True)
class _File:
    filename: str
    subfolder: str
    folder: str


async def collect(entry: JsonObject, graph: JsonObject, server: ComfyUiServer) -> Generation:
    """The results of a history entry that ended well, in the order of the workflow's nodes.

    Raises:
        RuntimeFailure: there are none, or a file is not there any more.
        ServerUnreachable
    """
    outputs = _ordered(entry.get("outputs") or {}, graph)
    files = _results(outputs)
    if not files and not any(_has_text(node) for node in outputs.values()):
        raise RuntimeFailure.permanent(
            "no_outputs",
            "The workflow ran to its end and made no output; have it end in a node that saves, such as SaveImage.",
        )
    bodies = await _fetched(files, server)
    told = {node_id: _told(node, files) for node_id, node in outputs.items()}
    return Generation(files=tuple(bodies), output={"outputs": told, "status": entry.get("status")})


def _ordered(outputs: JsonObject, graph: JsonObject) -> JsonObject:
    """By the workflow's order: that of execution varies with what was cached."""
    rank = {node_id: number for number, node_id in enumerate(graph)}
    # Nodes made by an expanding node are not in the workflow.
    node_ids = sorted(outputs, key=lambda node_id: rank.get(node_id, len(rank)))
    return {node_id: outputs[node_id] for node_id in node_ids if isinstance(outputs[node_id], dict)}


def _results(outputs: JsonObject) -> list[_File]:
    """Every saved file once; previews only where nothing was saved."""
    files = list(dict.fromkeys(_files(outputs)))
    for folder in (_OUTPUT, _TEMP):
        chosen = [file for file in files if file.folder == folder]
        if chosen:
            return chosen
    return []


def _files(outputs: JsonObject) -> Iterator[_File]:
    for node in outputs.values():
        for items in node.values():
            for item in items if isinstance(items, list) else ():
                file = _as_file(item)
                if file:
                    yield file


def _as_file(item: Any) -> _File | None:
    if not isinstance(item, dict) or not isinstance(item.get("filename"), str):
        return None
    return _File(item["filename"], str(item.get("subfolder") or ""), str(item.get("type") or _OUTPUT))


def _has_text(node: JsonObject) -> bool:
    return any(
        value and not (isinstance(value, list) and all(isinstance(item, dict) and "filename" in item for item in value))
        for key, value in node.items()
        if key not in _FLAGS
    )


async def _fetched(files: list[_File], server: ComfyUiServer) -> list[OutputFile]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def fetch(file: _File) -> OutputFile:
        async with turns:
            return await _fetch(file, server)

    fetches = [asyncio.create_task(fetch(file)) for file in files]
    try:
        return list(await asyncio.gather(*fetches))
    finally:
        for task in fetches:
            task.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)


async def _fetch(file: _File, server: ComfyUiServer) -> OutputFile:
    response = await server.view(filename=file.filename, subfolder=file.subfolder, folder=file.folder)
    if response.status_code != httpx.codes.OK or not response.content:
        # A node without a file name of its own may have been answered from the cache; the next try must not be.
        await server.drop_caches()
        raise RuntimeFailure.transient(
            "output_missing", f"ComfyUI made {file.filename} and does not have it (status {response.status_code})."
        )
    return OutputFile(response.content, name=file.filename, content_type=response.headers.get("Content-Type"))


def _told(node: JsonObject, files: list[_File]) -> JsonObject:
    return {
        key: [_told_item(item, files) for item in value] if isinstance(value, list) else value
        for key, value in node.items()
    }


def _told_item(item: Any, files: list[_File]) -> Any:
    file = _as_file(item)
    if file is None:
        return item
    told = {key: item[key] for key in _TOLD if key in item}
    return {**told, "url": FileReference(files.index(file))} if file in files else told
