"""What becomes of a runtime's answer before it is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from pictures_for_tests import a_png, decoded, encoded
from sdfleet.domain.content import sniff
from sdfleet.domain.task import OutputFormat
from sdfleet_scheduler.outputs import converted, written_output
from sdfleet_scheduler.runtimes.base import FileReference, OutputFile

PARAMETERS = "a lighthouse, 灯台\nSteps: 20, Seed: 1"


def a_file(data: bytes, **changes: Any) -> OutputFile:
    return OutputFile(data=data, **changes)


def a_png_with_text(**texts: str) -> bytes:
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    return encoded(Image.new("RGB", (4, 4), "red"), "PNG", pnginfo=info)


def an_animation() -> bytes:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


async def one_converted(data: bytes, output_format: OutputFormat) -> bytes:
    (file,) = await converted([a_file(data)], output_format)
    return file.data


def comment_of(data: bytes) -> str:
    comment = decoded(data).getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment.startswith(b"UNICODE\0")
    return str(comment[8:].decode("utf-16-be"))


@pytest.mark.parametrize(
    ("output_format", "extension"), [(OutputFormat.JPEG, "jpg"), (OutputFormat.WEBP, "webp"), (OutputFormat.PNG, "png")]
)
async def test_a_picture_comes_in_the_wanted_format(output_format: OutputFormat, extension: str) -> None:
    source = encoded(Image.new("RGB", (30, 20), "red"), "BMP")
    (file,) = await converted([a_file(source, name="out_00001_.bmp")], output_format)
    assert sniff(file.data) == (extension, f"image/{output_format}")
    assert (file.name, file.content_type) == (f"out_00001_.{extension}", f"image/{output_format}")
    assert decoded(file.data).size == (30, 20)
    red, green, blue = decoded(file.data).convert("RGB").getpixel((15, 10))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("source_format", ["BMP", "TIFF", "GIF", "WEBP", "AVIF", "ICO", "JPEG2000", "PNG"])
async def test_every_still_format_can_be_converted(source_format: str) -> None:
    source = encoded(Image.new("RGB", (16, 16), "red"), source_format)
    assert decoded(await one_converted(source, OutputFormat.JPEG)).format == "JPEG"


async def test_without_a_wanted_format_nothing_changes() -> None:
    files = (a_file(a_png()), a_file(b"anything"))
    assert await converted(files, None) == files


async def test_a_picture_that_has_the_format_already_keeps_its_bytes() -> None:
    source = a_png_with_text(parameters=PARAMETERS)
    assert await one_converted(source, OutputFormat.PNG) == source


@pytest.mark.parametrize("data", [an_animation(), b"\0\0\0\x18ftypisom", b"OggS", b"\x89PNG\r\n\x1a\nbroken", b""])
async def test_animations_video_audio_and_broken_files_stay_as_they_are(data: bytes) -> None:
    assert await one_converted(data, OutputFormat.JPEG) == data


async def test_files_keep_their_order() -> None:
    files = await converted([a_file(a_png(4)), a_file(an_animation()), a_file(a_png(6))], OutputFormat.WEBP)
    assert [decoded(file.data).width for file in files] == [4, 4, 6]


async def test_transparency_becomes_white_where_the_format_has_none() -> None:
    source = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG")
    assert decoded(await one_converted(source, OutputFormat.JPEG)).getpixel((4, 4)) == (255, 255, 255)


async def test_transparency_stays_where_the_format_has_it() -> None:
    source = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG")
    assert decoded(await one_converted(source, OutputFormat.WEBP)).convert("RGBA").getpixel((4, 4))[3] == 0  # type: ignore[index]


async def test_a_palette_picture_can_be_converted() -> None:
    source = encoded(Image.new("RGB", (8, 8), "red").convert("P"), "PNG")
    assert decoded(await one_converted(source, OutputFormat.JPEG)).mode == "RGB"


async def test_a_picture_that_would_lose_its_depth_stays_as_it_is() -> None:
    source = encoded(Image.new("I;16", (8, 8), 1000), "PNG")
    assert await one_converted(source, OutputFormat.JPEG) == source


@pytest.mark.parametrize("output_format", [OutputFormat.JPEG, OutputFormat.WEBP])
async def test_generation_parameters_move_to_where_the_webui_reads_them(output_format: OutputFormat) -> None:
    picture = await one_converted(a_png_with_text(parameters=PARAMETERS), output_format)
    assert comment_of(picture) == PARAMETERS


async def test_generation_parameters_come_back_to_a_png() -> None:
    webp = await one_converted(a_png_with_text(parameters=PARAMETERS), OutputFormat.WEBP)
    assert decoded(await one_converted(webp, OutputFormat.PNG)).info["parameters"] == PARAMETERS


async def test_a_workflow_moves_to_where_comfyui_reads_it() -> None:
    webp = await one_converted(a_png_with_text(prompt='{"1": {}}', workflow="{}"), OutputFormat.WEBP)
    exif = decoded(webp).getexif()
    assert (exif[ExifTags.Base.Model], exif[ExifTags.Base.Make]) == ('prompt:{"1": {}}', "workflow:{}")


async def test_parameters_too_long_for_a_jpeg_do_not_cost_the_picture() -> None:
    picture = await one_converted(a_png_with_text(parameters="x" * 40_000), OutputFormat.JPEG)
    assert decoded(picture).format == "JPEG"


def test_the_out_object_has_urls_in_the_places_of_files() -> None:
    output = {"images": [FileReference(1), FileReference(0)], "info": "{}"}
    urls = ["s3://b/a-1.png", "s3://b/a-2.png"]
    assert json.loads(written_output(output, urls)) == {"images": [urls[1], urls[0]], "info": "{}"}


def test_numbers_that_json_does_not_have_become_null() -> None:
    output = {"a": float("nan"), "b": [float("inf"), -float("inf"), 1.5]}
    assert json.loads(written_output(output, [])) == {"a": None, "b": [None, None, 1.5]}


def test_values_that_json_does_not_have_become_text() -> None:
    output = {1: ("tuple",), "path": OutputFormat.PNG, "raw": b"12345", "other": {3}}
    assert json.loads(written_output(output, [])) == {
        "1": ["tuple"],
        "path": "png",
        "raw": "(5 bytes)",
        "other": [3],
    }


def test_half_a_surrogate_pair_is_no_obstacle() -> None:
    assert json.loads(written_output("\ud800", [])) == "\ud800"


def test_an_answer_nested_without_end_is_cut() -> None:
    output: list[Any] = []
    for _ in range(5000):
        output = [output]
    assert b"nested too deeply" in written_output(output, [])
