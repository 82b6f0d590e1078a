"""Draws test patterns. Blocks; the same request gives the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from io import BytesIO
from itertools import islice

from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

from sdfleet_scheduler.pictures import opened
from sdfleet_scheduler.runtimes.pattern_request import MAX_UPSCALED_SIDE, PatternRequest, Resize

MARK = "TEST PATTERN - no model ran"
#: A picture needs no more of a prompt, and measuring a megabyte of text takes seconds.
_DRAWN_PROMPT = 600
#: PNG readers refuse text chunks above a megabyte (Pillow's own limit).
WRITTEN_PROMPT = 64 * 1024
_SHAPES = 12
#: Shares of the height: the picture that came with the task, and what the text may cover at most.
_SOURCE_SHARE = 0.5
_TEXT_SHARE = 0.25

_Colour = tuple[int, int, int]


def draw(request: PatternRequest, index: int) -> bytes:
    """The PNG with this index (from 0)."""
    seed = request.seed + index
    picture = _background(request.width, request.height, random.Random(seed))
    if request.sources:
        _paste(picture, opened(request.sources[index % len(request.sources)].data))
    _write(picture, MARK, at_top=True)
    size = f"{request.width} x {request.height}"
    number = f"picture {index + 1} of {request.count * max(len(request.output_nodes), 1)}"
    facts = f"{size}, seed {seed}, steps {request.steps}, {number}"
    _write(picture, f"{facts}\n{printable(request.prompt[:_DRAWN_PROMPT])}", at_top=False)
    return _png(picture, infotext(request, index))


def resize(request: PatternRequest, index: int) -> bytes:
    """The source with this index in its new size, as a PNG with our mark."""
    if request.resize is None:
        raise ValueError("the request resizes nothing")
    source = opened(request.sources[index].data).convert("RGB")
    picture = _resized(source, request.resize)
    _write(picture, MARK, at_top=True)
    return _png(picture, f"{MARK}, resized from {source.width}x{source.height}")


def infotext(request: PatternRequest, index: int) -> str:
    """In the form of the WebUI's `parameters`, so that its readers understand it."""
    lines = [printable(request.prompt[:WRITTEN_PROMPT])]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {printable(request.negative_prompt[:WRITTEN_PROMPT])}")
    size = f"{request.width}x{request.height}"
    lines.append(f"Steps: {request.steps}, Seed: {request.seed + index}, Size: {size}, Model: {MARK}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """Without what no font and no encoder takes: control characters, and halves of surrogate pairs (JSON has them)."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(char if char.isprintable() or char == "\n" else " " for char in whole)


def _background(width: int, height: int, chance: random.Random) -> Image.Image:
    first, second = _colour(chance), _colour(chance)
    # Pillow's own gradient, turned and stretched: no loop over pixels.
    gradient = Image.linear_gradient("L").rotate(90 * chance.randrange(4)).resize((width, height))
    picture = Image.composite(
        Image.new("RGB", (width, height), first), Image.new("RGB", (width, height), second), gradient
    )
    pen = ImageDraw.Draw(picture)
    for _ in range(_SHAPES):
        x, y = chance.randrange(width), chance.randrange(height)
        radius = chance.randint(1, max(min(width, height) // 4, 2))
        box = (x - radius, y - radius, x + radius, y + radius)
        if chance.random() < 0.5:
            pen.ellipse(box, outline=_colour(chance), width=max(radius // 6, 1))
        else:
            pen.rectangle(box, outline=_colour(chance), width=max(radius // 6, 1))
    return picture


def _colour(chance: random.Random) -> _Colour:
    return chance.randrange(32, 224), chance.randrange(32, 224), chance.randrange(32, 224)


def _paste(picture: Image.Image, source: Image.Image) -> None:
    """In the middle, whole, in its own proportions."""
    box = (max(int(picture.width * _SOURCE_SHARE), 1), max(int(picture.height * _SOURCE_SHARE), 1))
    small = ImageOps.contain(source.convert("RGBA"), box)
    picture.paste(small, ((picture.width - small.width) // 2, (picture.height - small.height) // 2), small)


def _write(picture: Image.Image, text: str, *, at_top: bool) -> None:
    """A panel with as much of the text as fits a quarter of the picture."""
    size = min(max(min(picture.size) // 26, 8), 64)
    font = ImageFont.load_default(size)
    margin, line_height = size // 2, round(size * 1.3)
    fitting = max(int(picture.height * _TEXT_SHARE) - margin, 0) // line_height
    lines = list(islice(_wrapped(text, font, picture.width - 2 * margin), fitting))
    if not lines:
        return
    height = len(lines) * line_height + margin
    top = 0 if at_top else picture.height - height
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, top, picture.width, top + height), fill=(16, 16, 16))
    for number, line in enumerate(lines):
        pen.text((margin, top + margin // 2 + number * line_height), line, font=font, fill=(240, 240, 240))


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> Iterator[str]:
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
                continue
            if line:
                yield line
            line = word
            # Text without spaces (Chinese, a URL) is cut anywhere.
            while len(line) > 1 and font.getlength(line) > width:
                end = _fitting(line, font, width)
                yield line[:end]
                line = line[end:]
        if line:
            yield line


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> int:
    """How many of its first characters fit, at least one."""
    end = len(line)
    while end > 1 and font.getlength(line[:end]) > width:
        end = max(end * 3 // 4, 1)
    return end


def _resized(source: Image.Image, wanted: Resize) -> Image.Image:
    if wanted.factor is not None:
        return source.resize(_bounded(source.width * wanted.factor, source.height * wanted.factor))
    # The WebUI scales until both sides are long enough, then cuts.
    factor = max(wanted.width / source.width, wanted.height / source.height)
    if wanted.crop:
        return ImageOps.fit(source, (wanted.width, wanted.height))
    return source.resize(_bounded(source.width * factor, source.height * factor))


def _bounded(width: float, height: float) -> tuple[int, int]:
    """Whole sides, at least 1, none longer than the limit, in the same proportions."""
    shrink = min(MAX_UPSCALED_SIDE / max(width, height), 1.0)
    return max(int(width * shrink), 1), max(int(height * shrink), 1)


def _png(picture: Image.Image, parameters: str) -> bytes:
    text = PngInfo()
    text.add_text("parameters", parameters)
    buffer = BytesIO()
    # Level 1: a 4096 x 4096 picture in a third of the time, a fifth larger.
    picture.save(buffer, "PNG", pnginfo=text, compress_level=1)
    return buffer.getvalue()
