from __future__ import annotations

from typing import Any

import pytest

from service_harness import Harness


@pytest.fixture
def harness() -> Harness:
    return Harness()


def upload(harness: Harness, **body: Any) -> Any:
    return harness.post(body, "/v1alpha2/uploads")


def test_an_upload_is_a_put_and_the_url_to_use_in_content(harness: Harness) -> None:
    answer = upload(harness, content_type="image/png", size_bytes=1000)
    assert answer.status == 200
    assert answer.body["upload_url"].startswith("https://sdfleet-test-inbox.")
    assert answer.body["method"] == "PUT"
    assert answer.body["headers"] == {"Content-Type": "image/png", "Content-Length": "1000"}
    assert answer.body["url"] == "s3://sdfleet-test-inbox/uploads/made-1.png"
    assert answer.body["expires_s"] == 900


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/jpeg", "jpg"),
        ("IMAGE/WEBP", "webp"),
        ("video/mp4", "mp4"),
        ("audio/mpeg", "mp3"),
        ("application/json", "json"),
        ("application/octet-stream", "bin"),
        ("image/vnd.some-thing+very.long", "bin"),
    ],
)
def test_the_type_gives_the_extension(harness: Harness, content_type: str, extension: str) -> None:
    assert upload(harness, content_type=content_type, size_bytes=1).body["url"].endswith(f".{extension}")


def test_every_bad_field_is_named(harness: Harness) -> None:
    answer = upload(harness, content_type="text/html", size_bytes=0, colour="red")
    assert answer.status == 400
    assert sorted(answer.bad_paths) == ["colour", "content_type", "size_bytes"]


def test_every_missing_field_is_named(harness: Harness) -> None:
    assert upload(harness).bad_paths == ["content_type", "size_bytes"]


@pytest.mark.parametrize("size_bytes", [0, -1, 100 * 1024 * 1024 + 1, "1", 1.5, True])
def test_a_size_is_a_whole_number_up_to_100_mib(harness: Harness, size_bytes: Any) -> None:
    assert upload(harness, content_type="image/png", size_bytes=size_bytes).bad_paths == ["size_bytes"]


@pytest.mark.parametrize("content_type", ["image/", "image/../x", "image/png; a=b", "image/p\nng", 7])
def test_a_content_type_is_one_that_can_be_signed(harness: Harness, content_type: Any) -> None:
    assert upload(harness, content_type=content_type, size_bytes=1).bad_paths == ["content_type"]
