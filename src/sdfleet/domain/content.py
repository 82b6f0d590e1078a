"""What lies inside a request's content: links, image fields, and paths to them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sdfleet.domain.task import JsonObject, TaskType
from sdfleet.errors import FieldError

#: Where in the content: `("init_images", 0)`.
Path = tuple[str | int, ...]

_LINK = re.compile(r"(?:https?|s3)://\S+", re.IGNORECASE)
#: Case as the WebUI's decoder has it: `data:image/png;base64,...`.
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
#: A batch to upscale has some dozens; each is decoded at the door.
MAX_PICTURES = 256
#: Enough to mend a request in one go.
MAX_PROBLEMS = 50
#: Nesting beyond this is no workflow and no request of the WebUI.
_MAX_DEPTH = 32

_SINGLE_IMAGES: dict[TaskType, tuple[str, ...]] = {
    TaskType.IMAGE_TO_IMAGE: ("mask",),
    TaskType.EXTRA_SINGLE_IMAGE: ("image",),
}

#: The field without which a task type makes no sense, and what it holds.
_REQUIRED_IMAGES = {
    TaskType.IMAGE_TO_IMAGE: ("init_images", "a list of at least one picture"),
    TaskType.EXTRA_SINGLE_IMAGE: ("image", "a picture"),
    TaskType.EXTRA_BATCH_IMAGES: ("imageList", 'a list of at least one {"data", "name"}'),
}

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"GIF87a", "gif", "image/gif"),
    (b"GIF89a", "gif", "image/gif"),
    (b"BM", "bmp", "image/bmp"),
    (b"II*\x00", "tiff", "image/tiff"),
    (b"MM\x00*", "tiff", "image/tiff"),
    (b"\x00\x00\x01\x00", "ico", "image/x-icon"),
    (b"8BPS", "psd", "image/vnd.adobe.photoshop"),
    (b"\x00\x00\x00\x0cjP  ", "jp2", "image/jp2"),
    (b"\xff\x0a", "jxl", "image/jxl"),
    (b"\x1aE\xdf\xa3", "webm", "video/webm"),
    (b"fLaC", "flac", "audio/flac"),
    (b"OggS", "ogg", "audio/ogg"),
    (b"ID3", "mp3", "audio/mpeg"),
    (b"\xff\xfb", "mp3", "audio/mpeg"),
    (b"glTF", "glb", "model/gltf-binary"),
)
#: ISO base media brands (bytes 8 to 12): the rest of them is MP4.
_BRANDS = {b"avif": ("avif", "image/avif"), b"heic": ("heic", "image/heic"), b"qt  ": ("mov", "video/quicktime")}


@dataclass(frozen=True)
class Link:
    path: Path
    url: str


def is_link(value: Any) -> bool:
    """Whether a string is nothing but one http(s) or s3 URL; a prompt that has one among other words is not."""
    return isinstance(value, str) and _LINK.fullmatch(value) is not None


def links(content: JsonObject) -> list[Link]:
    return [Link(path, value) for path, value in _walk(content, ()) if is_link(value)]


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if len(path) > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index))
    else:
        yield path, value


def replaced(content: JsonObject, values: dict[Path, Any]) -> JsonObject:
    """A copy of `content` with the value at each path replaced."""
    copy = deepcopy(content)
    for path, value in values.items():
        holder: Any = copy
        for part in path[:-1]:
            holder = holder[part]
        holder[path[-1]] = value
    return copy


def format_path(path: Path) -> str:
    """`init_images[0]` for `("init_images", 0)`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def image_fields(tasktype: TaskType, content: JsonObject) -> Iterator[tuple[Path, Any]]:
    """The fields that must hold a picture, with their values."""
    for key in _SINGLE_IMAGES.get(tasktype, ()):
        if content.get(key) is not None:
            yield (key,), content[key]
    if tasktype is TaskType.IMAGE_TO_IMAGE:
        images = content.get("init_images")
        for index, image in enumerate(images if isinstance(images, list) else ()):
            yield ("init_images", index), image
    if tasktype is TaskType.EXTRA_BATCH_IMAGES:
        entries = content.get("imageList")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            yield ("imageList", index, "data"), entry.get("data") if isinstance(entry, dict) else None


def image_problems(tasktype: TaskType, content: JsonObject, at: str) -> list[FieldError]:
    """Missing picture fields, and those that hold neither a link, a data URI nor base64 of a picture."""
    missing = _missing_images(tasktype, content, at)
    required = _REQUIRED_IMAGES[tasktype][0] if missing else None
    problems = (
        FieldError(f"{at}{format_path(path)}", problem)
        for path, value in image_fields(tasktype, content)
        if path[0] != required and not is_link(value) and (problem := _image_problem(value))
    )
    return missing + list(islice(problems, MAX_PROBLEMS))


def _missing_images(tasktype: TaskType, content: JsonObject, at: str) -> list[FieldError]:
    field, wanted = _REQUIRED_IMAGES.get(tasktype, (None, ""))
    if field is None:
        return []
    value = content.get(field)
    if not value:
        return [FieldError(f"{at}{field}", f"is missing; {tasktype} needs {wanted}")]
    if field != "image" and not isinstance(value, list):
        return [FieldError(f"{at}{field}", f"must be {wanted}")]
    if isinstance(value, list) and len(value) > MAX_PICTURES:
        return [FieldError(f"{at}{field}", f"has {len(value)} pictures; at most {MAX_PICTURES} are accepted")]
    return []


def _image_problem(value: Any) -> str | None:
    wanted = "must be a link (http, https or s3), a data URI or base64 of a picture"
    if not isinstance(value, str):
        return wanted
    data = decode_image(value)
    if data is None:
        return f"{wanted}; this is none of them"
    kind = sniff(data)
    if kind is None or not kind[1].startswith("image/"):
        return f"{wanted}; the decoded bytes are no known picture format"
    return None


def decode_image(text: str) -> bytes | None:
    """The bytes of a data URI or of bare base64; None if it is neither."""
    match = _DATA_URI.match(text)
    encoded = text[match.end() :] if match else text
    try:
        return base64.b64decode("".join(encoded.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def sniff(data: bytes) -> tuple[str, str] | None:
    """Extension and media type, by the first bytes; None for an unknown format."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp", "image/webp"
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav", "audio/wav"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], ("mp4", "video/mp4"))
    for signature, extension, media_type in _SIGNATURES:
        if data.startswith(signature):
            return extension, media_type
    return None
