"""The storm's tasks for a real ComfyUI: workflows without a model, whose picture tells whose it is."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image, UnidentifiedImageError

from sdfleet.domain.task import JsonObject, Task

#: The node that takes time (docs/real-comfyui.md).
SLEEP_NODE = "SdfleetSleep"
#: Every n-th workflow is wrong, in turn at run time and in validation.
_FLAWED_EVERY, _FIRST_FLAWED = 20, 5
_FLAWS = ("execution_failed", "validation_failed")
_SMALLEST_SIDE, _SIDES = 16, 64
#: ComfyUI's way from an integer to floats and back may lose one of 255.
_TOLERANCE = 1
#: Of a whole PNG.
_LAST_CHUNK = b"IEND"
#: Where the first node stands in a workflow, and the one that saves.
_FIRST, _LAST = "1", "3"


class Fingerprint(NamedTuple):
    """What an EmptyImage is told to draw."""

    color: int
    width: int
    height: int


def fingerprint_of(task_id: str) -> Fingerprint:
    digest = sha256(task_id.encode()).digest()
    sides = (_SMALLEST_SIDE + byte % _SIDES for byte in digest[3:5])
    return Fingerprint(int.from_bytes(digest[:3]), *sides)


def fingerprint_in(graph: Any) -> Fingerprint | None:
    """Of a workflow in ComfyUI's queue; None if it is none of the storm's."""
    try:
        inputs = graph[_FIRST]["inputs"]
        return Fingerprint(inputs["color"], inputs["width"], inputs["height"])
    except (KeyError, TypeError):
        return None


class ComfyUiWorkload:
    tasktype = "pipeline"

    def __init__(self, *, seconds: float) -> None:
        """`seconds`: what a workflow takes."""
        self._seconds = seconds

    def content(self, number: int, task_id: str, *, padding: int) -> JsonObject:
        color, width, height = fingerprint_of(task_id)
        middle: JsonObject = {"class_type": SLEEP_NODE, "inputs": {"image": [_FIRST, 0], "seconds": self._seconds}}
        if self.flaw(number) == "execution_failed":
            middle = {"class_type": "SdfleetFail", "inputs": {"image": [_FIRST, 0]}}
        elif self.flaw(number) == "validation_failed":
            del middle["inputs"]["seconds"]
        empty = {"width": width, "height": height, "batch_size": 1, "color": color}
        return {
            _FIRST: {"class_type": "EmptyImage", "inputs": empty, "_meta": {"title": "x" * padding}},
            "2": middle,
            _LAST: {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "chaos"}},
        }

    def flaw(self, number: int) -> str | None:
        is_flawed = number % _FLAWED_EVERY == _FIRST_FLAWED
        return _FLAWS[number // _FLAWED_EVERY % len(_FLAWS)] if is_flawed else None

    def is_picture(self, task_id: str, data: bytes) -> bool:
        color, width, height = fingerprint_of(task_id)
        if data[-8:-4] != _LAST_CHUNK:
            # Pillow reads a file that was cut off as far as it can.
            return False
        try:
            picture = Image.open(BytesIO(data)).convert("RGB")
        except (UnidentifiedImageError, OSError):
            return False
        # Lowest and highest value of each channel.
        found: Any = picture.getextrema()
        asked = zip(color.to_bytes(3), found, strict=True)
        is_plain = all(abs(value - end) <= _TOLERANCE for value, ends in asked for end in ends)
        return picture.size == (width, height) and is_plain

    def is_output(self, task: Task, fields: Any) -> bool:
        """It names the task's own picture."""
        try:
            (image,) = fields["outputs"][_LAST]["images"]
            return bool(image["url"] == task.artifacts[0].url)
        except (KeyError, TypeError, ValueError, IndexError):
            return False
