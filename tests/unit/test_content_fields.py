from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfleet.domain.content import (
    Link,
    decode_image,
    format_path,
    image_problems,
    is_link,
    links,
    replaced,
    sniff,
)  # fmt: skip
from sdfleet.domain.task import TaskType
from texts_for_tests import texts

PNG = b"\x89PNG\r\n\x1a\n rest"
few = settings(max_examples=20, deadline=None)
trees = st.recursive(
    texts(max_size=5) | st.none() | st.integers() | st.sampled_from(["https://x.org/a.png", "s3://b/k"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=5), inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(texts(max_size=5), trees, max_size=4)


@pytest.mark.parametrize("value", ["http://a/b", "HTTPS://a", "s3://b/k?x=1#y"])
def test_a_string_that_is_nothing_but_a_url_is_a_link(value: str) -> None:
    assert is_link(value)


@pytest.mark.parametrize(
    "value", ["see https://a.org", "https://a.org and more", "ftp://a", "https://", "", "https://a\n", 7, None]
)
def test_a_prompt_that_has_a_url_in_it_is_no_link(value: Any) -> None:
    assert not is_link(value)


@few
@given(content=objects)
def test_every_link_is_found_where_it_is_and_can_be_replaced(content: dict[str, Any]) -> None:
    found = links(content)
    before = json.dumps(content)
    swapped = replaced(content, {link.path: f"fetched {index}" for index, link in enumerate(found)})

    assert json.dumps(content) == before
    assert links(swapped) == []
    assert json.dumps(swapped).count('"fetched ') == len(found)


def test_links_have_paths() -> None:
    content = {"init_images": ["https://a", "text", {"deep": "s3://b/k"}]}
    assert links(content) == [Link(("init_images", 0), "https://a"), Link(("init_images", 2, "deep"), "s3://b/k")]
    assert format_path(("init_images", 2, "deep")) == "init_images[2].deep"


@few
@given(data=st.binary(min_size=1, max_size=60), form=st.sampled_from(["bare", "uri", "folded"]))
def test_base64_decodes_in_every_form_that_clients_send(data: bytes, form: str) -> None:
    text = base64.b64encode(data).decode()
    written = {
        "bare": text,
        "uri": f"data:image/png;name=a.png;base64,{text}",
        "folded": "\r\n".join(text[index : index + 8] for index in range(0, len(text), 8)),
    }[form]
    assert decode_image(written) == data


@pytest.mark.parametrize("text", ["", "no!", "data:image/png,plain", "data:image/png;base64,", "abc"])
def test_what_is_no_base64_is_none(text: str) -> None:
    assert decode_image(text) is None


@few
@given(content=objects, tasktype=st.sampled_from(TaskType))
def test_no_content_breaks_the_check(content: dict[str, Any], tasktype: TaskType) -> None:
    for problem in image_problems(tasktype, content, "content."):
        assert problem.path.startswith("content.")


def test_a_good_picture_has_no_problem() -> None:
    picture = base64.b64encode(PNG).decode()
    content = {"init_images": [picture, f"data:image/png;base64,{picture}", "https://a.org/b.png"], "mask": picture}
    assert image_problems(TaskType.IMAGE_TO_IMAGE, content, "") == []


def test_a_missing_list_does_not_hide_a_bad_mask() -> None:
    problems = image_problems(TaskType.IMAGE_TO_IMAGE, {"mask": "?"}, "")
    assert [problem.path for problem in problems] == ["init_images", "mask"]


def test_a_problem_never_repeats_what_was_sent() -> None:
    (problem,) = image_problems(TaskType.EXTRA_SINGLE_IMAGE, {"image": "private words"}, "")
    assert "private" not in problem.message


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (PNG, "png"), (b"\xff\xd8\xff\xe0", "jpg"), (b"RIFF\0\0\0\0WEBPVP8 ", "webp"), (b"GIF89a", "gif"),
        (b"\0\0\0\x20ftypisom", "mp4"), (b"\0\0\0\x20ftypavif", "avif"), (b"RIFF\0\0\0\0WAVE", "wav"),
    ],
)  # fmt: skip
def test_the_first_bytes_give_the_extension(data: bytes, extension: str) -> None:
    kind = sniff(data)
    assert kind is not None
    assert kind[0] == extension


@few
@given(data=st.binary(max_size=20))
def test_unknown_bytes_are_unknown(data: bytes) -> None:
    kind = sniff(data)
    assert kind is None or "/" in kind[1]
