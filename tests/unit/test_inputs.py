"""Fetching what a content links to: which places are open, and how a failure names the field."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders import INBOX_BUCKET, OUTPUT_BUCKET, a_deployment
from pictures_for_tests import a_png
from sdfleet.domain.retry import FailureKind
from sdfleet.environment import SchedulerEnvironment
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.ports import ArtifactStore
from sdfleet_scheduler.fetch_guard import FetchFailed, FetchGuard
from sdfleet_scheduler.inputs import MAX_LINKS, Inputs
from sdfleet_scheduler.runtimes.base import RuntimeFailure

PNG = a_png()
LINK = "https://pictures.example/a.png?X-Amz-Signature=secret"


class Web(FetchGuard):
    """Pages by URL; what is not there fails."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        super().__init__()
        self._pages = pages
        self.asked: list[str] = []
        self.at_once = 0
        self._now = 0

    async def get(self, url: str, *, max_bytes: int, within: timedelta) -> bytes:
        self.asked.append(url)
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        if url not in self._pages:
            raise FetchFailed("pictures.example answered 404")
        return self._pages[url]


class BrokenStore(MemoryArtifactStore):
    def get(self, url: str, *, max_bytes: int) -> bytes:
        raise ServiceUnavailable("S3 has a bad day")


class SlowStore(MemoryArtifactStore):
    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()

    def get(self, url: str, *, max_bytes: int) -> bytes:
        self.may_answer.wait(5)
        return PNG


def some_inputs(
    web: FetchGuard | dict[str, bytes] | None = None, *, artifacts: ArtifactStore | None = None, **environment: Any
) -> Inputs:
    return Inputs(
        environment=replace(SchedulerEnvironment(runtime="sdruntime"), **environment),
        deployment=a_deployment(),
        artifacts=artifacts or MemoryArtifactStore(),
        guard=web if isinstance(web, FetchGuard) else Web(web or {}),
    )


def a_store_with(url: str, data: bytes = PNG) -> MemoryArtifactStore:
    store = MemoryArtifactStore()
    store.put(url, data, content_type="image/png")
    return store


async def failure_of(inputs: Inputs, content: dict[str, Any]) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await inputs.fetch(content)
    assert caught.value.code == "input_unavailable"
    return caught.value


async def test_a_content_without_links_fetches_nothing() -> None:
    assert await some_inputs().fetch({"prompt": "see https://a.example for more", "steps": 2}) == ()


async def test_a_link_becomes_a_file_that_knows_where_it_stood() -> None:
    (file,) = await some_inputs({LINK: PNG}).fetch({"init_images": [LINK]})
    assert (file.path, file.content_type, file.data) == (("init_images", 0), "image/png", PNG)
    assert file.name.endswith("-1.png")


async def test_names_follow_the_bytes_so_that_a_replay_uploads_the_same() -> None:
    async def names() -> list[str]:
        files = await some_inputs({LINK: PNG, "https://b.example/": b"GIF89a"}).fetch(
            {"1": {"inputs": {"image": LINK}}, "2": {"inputs": {"image": "https://b.example/"}}}
        )
        return [file.name for file in files]

    assert await names() == await names()
    assert len(set(await names())) == 2


async def test_a_url_that_stands_twice_is_fetched_once_and_delivered_twice() -> None:
    web = Web({LINK: PNG})
    inputs = some_inputs(web)
    files = await inputs.fetch({"init_images": [LINK, LINK]})
    assert web.asked == [LINK]
    assert [file.path for file in files] == [("init_images", 0), ("init_images", 1)]
    assert len({file.name for file in files}) == 2


async def test_links_are_fetched_together_but_not_all_at_once() -> None:
    pages = {f"https://a.example/{number}": PNG for number in range(12)}
    web = Web(pages)
    inputs = some_inputs(web)
    files = await inputs.fetch({"init_images": list(pages)})
    assert [file.path[1] for file in files] == list(range(12))
    assert 1 < web.at_once <= 4


async def test_a_failure_names_the_field_and_never_the_links_query() -> None:
    failure = await failure_of(some_inputs(), {"init_images": [LINK]})
    assert failure.kind is FailureKind.PERMANENT
    assert str(failure) == "content.init_images[0]: the link cannot be fetched: pictures.example answered 404."


async def test_a_failure_deep_inside_a_workflow_names_its_path() -> None:
    failure = await failure_of(some_inputs(), {"prompt": {"10": {"inputs": {"image": LINK}}}})
    assert str(failure).startswith("content.prompt.10.inputs.image: ")


async def test_a_link_in_a_picture_field_must_lead_to_a_picture() -> None:
    for content in (
        {"init_images": [LINK]},
        {"mask": LINK},
        {"image": LINK},
        {"imageList": [{"data": LINK, "name": "a"}]},
    ):
        failure = await failure_of(some_inputs({LINK: b"<html>Sign in</html>"}), content)
        assert failure.kind is FailureKind.PERMANENT
        assert "is no picture" in str(failure)


async def test_a_video_is_no_picture_either() -> None:
    failure = await failure_of(some_inputs({LINK: b"\0\0\0\x18ftypisom"}), {"init_images": [LINK]})
    assert "is no picture" in str(failure)


async def test_other_fields_may_link_to_anything() -> None:
    (file,) = await some_inputs({LINK: b"whatever"}).fetch({"9": {"inputs": {"file": LINK}}})
    assert (file.name.rpartition(".")[2], file.content_type) == ("bin", "application/octet-stream")


async def test_the_services_own_results_may_be_linked() -> None:
    url = f"s3://{OUTPUT_BUCKET}/output/a/a-abcd-1.png"
    (file,) = await some_inputs(artifacts=a_store_with(url)).fetch({"init_images": [url]})
    assert file.data == PNG


async def test_an_upload_may_be_linked() -> None:
    url = f"s3://{INBOX_BUCKET}/uploads/abc.png"
    (file,) = await some_inputs(artifacts=a_store_with(url)).fetch({"init_images": [url.replace("s3:", "S3:")]})
    assert file.data == PNG


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{INBOX_BUCKET}/inbox/other/run.json",
        f"s3://{INBOX_BUCKET}/dead-letters/q/m.json",
        f"s3://{INBOX_BUCKET}/uploads/../inbox/other/run.json",
        "s3://somebody-elses/a.png",
    ],
)
async def test_no_other_object_may_be_linked(url: str) -> None:
    failure = await failure_of(some_inputs(artifacts=a_store_with(url)), {"init_images": [url]})
    assert failure.kind is FailureKind.PERMANENT
    assert "not taken as inputs" in str(failure)


async def test_the_configuration_may_open_a_bucket() -> None:
    url = "s3://shared-inputs/a.png"
    inputs = some_inputs(artifacts=a_store_with(url), allowed_buckets=("shared-inputs",))
    assert len(await inputs.fetch({"init_images": [url]})) == 1


async def test_an_s3_url_without_a_key_is_a_permanent_failure() -> None:
    failure = await failure_of(some_inputs(), {"init_images": [f"s3://{OUTPUT_BUCKET}/"]})
    assert str(failure) == "content.init_images[0]: it must be an s3://bucket/key URL."


async def test_a_missing_object_is_a_permanent_failure() -> None:
    failure = await failure_of(some_inputs(), {"mask": f"s3://{OUTPUT_BUCKET}/none.png"})
    assert failure.kind is FailureKind.PERMANENT
    assert str(failure).startswith("content.mask: there is no such object")


async def test_a_bad_day_of_s3_is_not_the_senders_fault() -> None:
    failure = await failure_of(some_inputs(artifacts=BrokenStore()), {"mask": f"s3://{OUTPUT_BUCKET}/a.png"})
    assert failure.kind is FailureKind.TRANSIENT
    assert "content.mask" in str(failure)


async def test_an_s3_that_hangs_is_given_up_in_time() -> None:
    store = SlowStore()
    inputs = some_inputs(artifacts=store, input_timeout_s=0.05)
    try:
        failure = await failure_of(inputs, {"mask": f"s3://{OUTPUT_BUCKET}/a.png"})
    finally:
        store.may_answer.set()
    assert failure.kind is FailureKind.TRANSIENT


async def test_an_object_above_the_cap_is_refused() -> None:
    url = f"s3://{OUTPUT_BUCKET}/a.png"
    failure = await failure_of(some_inputs(artifacts=a_store_with(url), max_input_bytes=10), {"mask": url})
    assert str(failure) == "content.mask: the object has more than 10 bytes."


async def test_all_inputs_together_have_a_cap_too() -> None:
    pages = {f"https://a.example/{number}": PNG for number in range(5)}
    failure = await failure_of(some_inputs(pages, max_input_bytes=len(PNG)), {"init_images": list(pages)})
    assert "bytes together" in str(failure)


async def test_a_link_repeated_without_end_counts_each_time() -> None:
    failure = await failure_of(some_inputs({LINK: PNG}, max_input_bytes=len(PNG)), {"init_images": [LINK] * 5})
    assert "bytes together" in str(failure)


async def test_too_many_links_are_refused_before_the_first_is_fetched() -> None:
    content = {"init_images": [f"https://a.example/{number}" for number in range(MAX_LINKS + 1)]}
    assert f"at most {MAX_LINKS}" in str(await failure_of(some_inputs(), content))


async def test_one_failure_stops_the_other_downloads() -> None:
    stopped = asyncio.Event()

    class Hanging(Web):
        async def get(self, url: str, *, max_bytes: int, within: timedelta) -> bytes:
            if url.endswith("missing"):
                raise FetchFailed("a.example answered 404")
            try:
                await asyncio.sleep(60)
            finally:
                stopped.set()
            return b""

    inputs = some_inputs(Hanging({}))
    await failure_of(inputs, {"init_images": ["https://a.example/slow", "https://a.example/missing"]})
    assert stopped.is_set()
