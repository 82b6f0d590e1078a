"""What becomes of a runtime's answer before it is stored: the wanted picture format, and the `.out` object."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from sdfleet.domain.task import OutputFormat
from sdfleet.telemetry import logs
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.pictures import UnusablePicture, opened
from sdfleet_scheduler.runtimes.base import FileReference, OutputFile

log = logs.get_logger(__name__)

_EXTENSIONS = {OutputFormat.PNG: "png", OutputFormat.JPEG: "jpg", OutputFormat.WEBP: "webp"}
#: Visually lossless; the WebUI's own default is 80, and a client that asks for less can still shrink it.
_QUALITY = 95
#: Above this Pillow refuses to write a JPEG's EXIF segment (16-bit length).
_MAX_JPEG_EXIF = 65_533
#: The modes that every one of the three formats can be made from without a loss that shows.
_CONVERTIBLE_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"}

#: Where the WebUI keeps its `parameters` in formats without text chunks (EXIF UserComment, "UNICODE" + UTF-16).
_UNICODE_COMMENT = b"UNICODE\x00"
#: Where ComfyUI keeps a WebP's workflow, as `prompt:{...}` and `workflow:{...}`.
_COMFYUI_TAGS = {"prompt": ExifTags.Base.Model, "workflow": ExifTags.Base.Make}

#: An answer nested deeper than this is cut there: Python's own JSON writer would give up on it.
_MAX_DEPTH = 100


async def converted(files: Sequence[OutputFile], output_format: OutputFormat | None) -> tuple[OutputFile, ...]:
    """The files, still pictures in `output_format`; None keeps all as they are.

    Animations, video, audio and what cannot be decoded stay as they are: another format is better than no result.
    """
    if output_format is None:
        return tuple(files)
    return tuple([await offload(_converted, file, output_format) for file in files])


def _converted(file: OutputFile, output_format: OutputFormat) -> OutputFile:
    try:
        picture = opened(file.data)
    except UnusablePicture:
        return file
    if picture.format == output_format.upper() or getattr(picture, "is_animated", False):
        return file
    if picture.mode not in _CONVERTIBLE_MODES:
        log.warning("output.left_unconverted", mode=picture.mode, wanted=output_format)
        return file
    try:
        data = _encoded(picture, output_format)
    except (OSError, ValueError) as error:
        # A WebP takes 16,383 pixels a side, for one.
        log.warning("output.left_unconverted", error_type=type(error).__name__, wanted=output_format)
        return file
    name = str(PurePosixPath(file.name).with_suffix(f".{_EXTENSIONS[output_format]}")) if file.name else None
    return replace(file, data=data, name=name, content_type=f"image/{output_format}")


def _encoded(picture: Image.Image, output_format: OutputFormat) -> bytes:
    options: dict[str, Any] = {}
    if picture.info.get("icc_profile") and picture.mode != "CMYK":
        options["icc_profile"] = picture.info["icc_profile"]
    buffer = BytesIO()
    if output_format is OutputFormat.PNG:
        text = PngInfo()
        for key, value in _texts(picture).items():
            text.add_text(key, value)
        _with_channels(picture, alpha=True).save(buffer, "PNG", pnginfo=text, **options)
        return buffer.getvalue()
    exif = _exif(picture)
    if output_format is OutputFormat.WEBP:
        _with_channels(picture, alpha=True).save(buffer, "WEBP", quality=_QUALITY, exif=exif, **options)
    else:
        exif = exif if len(exif) <= _MAX_JPEG_EXIF else b""
        _with_channels(picture, alpha=False).save(buffer, "JPEG", quality=_QUALITY, exif=exif, **options)
    return buffer.getvalue()


def _with_channels(picture: Image.Image, *, alpha: bool) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    picture = picture.convert("RGBA")
    if alpha:
        return picture
    # JPEG has no transparency; black, Pillow's choice, turns cut-outs into night scenes.
    page = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(page, picture).convert("RGB")


def _texts(picture: Image.Image) -> dict[str, str]:
    """The generation parameters a picture carries, by the key that PNG text chunks have."""
    texts = {key: value for key, value in picture.info.items() if key in ("parameters", *_COMFYUI_TAGS)}
    exif = picture.getexif()
    comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if isinstance(comment, bytes) and comment.startswith(_UNICODE_COMMENT):
        texts.setdefault("parameters", comment.removeprefix(_UNICODE_COMMENT).decode("utf-16-be", "replace"))
    for key, tag in _COMFYUI_TAGS.items():
        value = exif.get(tag)
        if isinstance(value, str) and value.startswith(f"{key}:"):
            texts.setdefault(key, value.removeprefix(f"{key}:"))
    return {key: value for key, value in texts.items() if isinstance(value, str)}


def _exif(picture: Image.Image) -> bytes:
    exif = picture.getexif()
    texts = _texts(picture)
    if "parameters" in texts:
        comment = _UNICODE_COMMENT + texts["parameters"].encode("utf-16-be", "replace")
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    for key, tag in _COMFYUI_TAGS.items():
        if key in texts:
            exif[tag] = f"{key}:{texts[key]}"
    return exif.tobytes()


def written_output(output: Any, urls: Sequence[str]) -> bytes:
    """The `.out` object: the runtime's full answer as JSON, each `FileReference` replaced by its file's URL."""
    return json.dumps(_as_json(output, urls, _MAX_DEPTH), allow_nan=False).encode()


def _as_json(value: Any, urls: Sequence[str], levels: int) -> Any:
    if isinstance(value, FileReference):
        return urls[value.index]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # JSON has no NaN and no infinity; the WebUI answers with them when a model overflows.
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    if isinstance(value, Mapping):
        if levels == 0:
            return "(nested too deeply)"
        return {str(key): _as_json(item, urls, levels - 1) for key, item in value.items()}
    if isinstance(value, Iterable):
        return "(nested too deeply)" if levels == 0 else [_as_json(item, urls, levels - 1) for item in value]
    return str(value)
