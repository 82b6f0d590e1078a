"""The seeds' test run: one request of each type that a runtime serves."""

from __future__ import annotations

import base64
import struct
import uuid
import zlib
from typing import Any

from sdfleet.domain.task import TASKTYPES_OF, RuntimeType, TaskType

_SIDE = 512
#: Needs no model of its own, which the seeds' upscaler does.
_UPSCALER = "Lanczos"
#: One of each for the WebUI, as the seeds' test script sends them; a pipeline for ComfyUI.
_SHOWN = (TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE, TaskType.EXTRA_SINGLE_IMAGE, TaskType.PIPELINE)


def sample_tasks(runtime: str, runtime_type: RuntimeType) -> list[dict[str, Any]]:
    """v1alpha2 tasks, each with an id of its own."""
    wanted = [one for one in _SHOWN if one in TASKTYPES_OF[runtime_type]]
    if runtime_type is RuntimeType.CUSTOM:
        # What else it takes is between it and its callers.
        wanted = [TaskType.TEXT_TO_IMAGE]
    return [sample_task(runtime, one) for one in wanted]


def sample_task(runtime: str, tasktype: TaskType) -> dict[str, Any]:
    return {
        "metadata": {
            "id": f"verify-{tasktype}-{uuid.uuid4().hex[:8]}",
            "runtime": runtime,
            "tasktype": str(tasktype),
            "prefix": "verify",
        },
        "content": _CONTENT[tasktype](),
    }


def first_task(runtime: str, runtime_type: RuntimeType) -> dict[str, Any]:
    return sample_tasks(runtime, runtime_type)[0]


def _text_to_image() -> dict[str, Any]:
    return {"alwayson_scripts": {}, "prompt": "A dog", "steps": 16, "width": _SIDE, "height": _SIDE}


def _image_to_image() -> dict[str, Any]:
    return {**_text_to_image(), "prompt": "cat wizard", "init_images": [a_picture()]}


def _extra_single_image() -> dict[str, Any]:
    return {
        "resize_mode": 0,
        "upscaling_resize": 2,
        "upscaler_1": _UPSCALER,
        "upscaler_2": "None",
        "image": a_picture(),
    }


def _pipeline() -> dict[str, Any]:
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": _SIDE, "height": _SIDE, "batch_size": 1, "color": 8421504},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "verify"}},
    }


_CONTENT = {
    TaskType.TEXT_TO_IMAGE: _text_to_image,
    TaskType.IMAGE_TO_IMAGE: _image_to_image,
    TaskType.EXTRA_SINGLE_IMAGE: _extra_single_image,
    TaskType.PIPELINE: _pipeline,
}


def a_picture() -> str:
    """A PNG of 64 x 64, base64: the seeds' example is on a server that China does not reach."""
    side = 64
    rows = b"".join(b"\0" + bytes(value for x in range(side) for value in (4 * x, 4 * y, 128)) for y in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in chunks)).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
