"""Small real pictures."""

from __future__ import annotations

from io import BytesIO

from PIL import Image


def a_png(width: int = 4, height: int = 4, colour: str = "red") -> bytes:
    return encoded(Image.new("RGB", (width, height), colour), "PNG")


def encoded(picture: Image.Image, picture_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, picture_format, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    picture = Image.open(BytesIO(data))
    picture.load()
    return picture
