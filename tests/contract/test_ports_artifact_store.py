"""ArtifactStore, in memory and on S3."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sdfleet.errors import ObjectNotFound, PayloadTooLarge
from sdfleet.ports import ArtifactStore

URL = "s3://contract-objects/output/a task/ä-1.png"
HOUR = timedelta(hours=1)


def test_an_object_is_read_as_it_was_written(objects: ArtifactStore) -> None:
    objects.put(URL, b"\x89PNG", content_type="image/png")
    assert objects.get(URL, max_bytes=4) == b"\x89PNG"


def test_an_object_may_be_empty(objects: ArtifactStore) -> None:
    objects.put(URL, b"", content_type="text/plain")
    assert objects.get(URL, max_bytes=4) == b""


def test_a_second_write_replaces_the_first(objects: ArtifactStore) -> None:
    objects.put(URL, b"first", content_type="image/png")
    objects.put(URL, b"second", content_type="image/png")
    assert objects.get(URL, max_bytes=100) == b"second"


def test_an_object_above_the_limit_is_refused(objects: ArtifactStore) -> None:
    objects.put(URL, b"12345", content_type="image/png")
    with pytest.raises(PayloadTooLarge, match="5 bytes; at most 4"):
        objects.get(URL, max_bytes=4)


@pytest.mark.parametrize("url", ["s3://contract-objects/none", "s3://no-such-bucket-here/none"])
def test_what_is_not_there_is_not_found(objects: ArtifactStore, url: str) -> None:
    assert not objects.exists(url)
    with pytest.raises(ObjectNotFound):
        objects.get(url, max_bytes=4)


def test_an_object_that_was_written_exists(objects: ArtifactStore) -> None:
    objects.put(URL, b"1", content_type="image/png")
    assert objects.exists(URL)


def test_a_link_names_the_object_and_its_end(objects: ArtifactStore) -> None:
    link = objects.link(URL, lifetime=HOUR)
    assert "/output/a%20task/%C3%A4-1.png?" in link
    assert "X-Amz-Expires=3600" in link


def test_an_upload_link_binds_type_and_size(objects: ArtifactStore) -> None:
    link = objects.upload_link(URL, content_type="image/png", size_bytes=5, lifetime=HOUR)
    assert "content-length" in link
    assert "content-type" in link


def test_what_is_no_s3_url_is_refused(objects: ArtifactStore) -> None:
    with pytest.raises(ValueError, match="not an s3://bucket/key URL"):
        objects.get("https://example.org/a.png", max_bytes=4)
