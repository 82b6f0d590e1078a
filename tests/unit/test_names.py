from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfleet.domain import names
from texts_for_tests import texts

ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=128)
runs = st.uuids().map(lambda run: run.hex)
few = settings(max_examples=20, deadline=None)


@few
@given(task_id=ids, run=runs, number=st.integers(1, 10_000))
def test_artifacts_are_named_as_the_guidance_prints_them(task_id: str, run: str, number: int) -> None:
    key = names.artifact_key("output", task_id, run, number, "png")
    assert re.fullmatch(rf"output/{task_id}/{task_id}-[a-z0-9]{{4}}-{number}\.png", key)


@few
@given(task_id=ids, run=runs)
def test_every_try_of_a_run_has_the_same_names(task_id: str, run: str) -> None:
    suffix = names.derived_suffix(task_id, run)
    assert names.derived_suffix(task_id, run) == suffix
    assert names.output_key("p/", task_id, run) == f"p/{task_id}/{task_id}-{suffix}.out"


def test_another_run_has_other_names() -> None:
    suffixes = {names.derived_suffix("a", str(run)) for run in range(100)}
    assert len(suffixes) > 95


@few
@given(
    bucket=st.text(string.ascii_lowercase + string.digits, min_size=3, max_size=63),
    key=texts(min_size=1, max_size=50),
)
def test_an_s3_url_reads_back(bucket: str, key: str) -> None:
    assert names.parse_s3_url(names.s3_url(bucket, key)) == (bucket, key)


@pytest.mark.parametrize("url", ["", "s3://", "s3://bucket", "s3://bucket/", "https://b/k", "s3://B/k", "S3://b-b/k"])
def test_what_is_no_s3_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="s3://"):
        names.parse_s3_url(url)


@pytest.mark.parametrize(
    "name",
    ["v1-5", "v1-5.safetensors", "v1-5.ckpt", "v1-5.safetensors [6ce0161689]", "xl/v1-5.safetensors", " v1-5 "],
)
def test_a_model_has_one_stem(name: str) -> None:
    assert names.model_stem(name) == "v1-5"


@few
@given(st.text(string.ascii_lowercase + string.digits + "-", max_size=30).map(lambda rest: f"r{rest}"))
def test_runtime_names_make_output_names(runtime: str) -> None:
    assert names.RUNTIME_NAME.fullmatch(runtime)
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", names.camel_case(runtime))


def test_one_message_is_one_dead_letter() -> None:
    assert names.dead_letter_key("q", "m-1") == "dead-letters/q/m-1.json"


def test_a_content_is_read_from_where_submissions_put_it() -> None:
    url = names.s3_url("inbox-bucket", names.inbox_key("test-t2i", "run-1"))
    assert names.is_inbox_location(url, "inbox-bucket")
    assert not names.is_inbox_location(url, "another-bucket")


@pytest.mark.parametrize(
    "url",
    ["", "s3://b/dead-letters/q/m.json", "s3://b/uploads/a.json", "s3://b/inbox/a/../../dead-letters/m.json",
     "s3://b/inbox/a/b.json?versionId=1", "s3://b/inbox/a/b/c.json", "https://b/inbox/a/b.json", "s3://b/inbox/a.json",
     "s3://b/inbox/a/b.json\n", "s3://bb/inbox/a/b.json", " s3://b/inbox/a/b.json"],
)  # fmt: skip
def test_nothing_else_is_read_as_a_content(url: str) -> None:
    assert not names.is_inbox_location(url, "b")


def test_a_buckets_stem_leaves_room_for_account_and_region() -> None:
    longest = names.bucket_stem("A" * 32, "output")
    assert len(f"{longest}-123456789012-ap-southeast-1") <= 63
    assert longest == longest.lower()


def test_deployments_that_differ_in_case_only_have_buckets_of_their_own() -> None:
    assert names.bucket_stem("Art", "output") != names.bucket_stem("art", "output") == "art-output"
