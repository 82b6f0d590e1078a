from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOON, a_failed_task, a_queued_task, a_succeeded_task, an_artifact
from sdfleet.domain.task import ApiVersion, Failure, Task, TaskStatus
from sdfleet.domain.wire import answers, messages
from sdfleet.errors import MalformedMessage
from texts_for_tests import texts

few = settings(max_examples=20, deadline=None)
contents = st.dictionaries(texts(max_size=8), texts(max_size=20) | st.integers() | st.none(), max_size=4)


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@few
@given(content=contents, wrapped=st.booleans())
def test_a_message_reads_back(content: dict[str, Any], wrapped: bool) -> None:
    task = a_queued_task()
    body = messages.write_message(task, content)
    if wrapped:
        body = json.dumps({"Type": "Notification", "Message": body})
    read = messages.read_message(body)
    assert (read.task_id, read.run, read.content, read.content_location) == (task.id, task.run, content, None)


@pytest.mark.parametrize("character", ["x", "ü", "\N{SNOWMAN}", "\U0001f600", '"'])
def test_a_message_always_fits_into_sns(character: str) -> None:
    body = messages.write_message(a_queued_task(), {"prompt": character * 200_000})
    assert len(body.encode()) <= messages.MAX_INLINE_BYTES


def test_a_large_message_names_where_its_content_is() -> None:
    task = a_queued_task()
    read = messages.read_message(messages.write_message(task, {"prompt": "x" * 300_000}))
    assert (read.content, read.content_location) == (None, task.content_location)


@few
@given(body=texts(max_size=40))
def test_anything_else_is_malformed(body: str) -> None:
    with pytest.raises(MalformedMessage):
        messages.read_message(body)


@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        ({}, None),
        ({"metadata": {"id": "a"}}, "a"),
        ({"metadata": {"id": "a b", "run": "r"}, "content": {}}, None),
        ({"metadata": {"id": "a", "run": "r"}}, "a"),
        ({"metadata": {"id": "a", "run": 1}, "content": {}}, "a"),
        ({"metadata": {"id": "a", "run": "r"}, "content": "text"}, "a"),
        ({"task": {"metadata": {"id": "a"}}}, "a"),
        ({"alwayson_scripts": {"id_task": "a"}}, "a"),
        ({"metadata": {"id": "a", "run": "../b"}, "content": {}}, "a"),
        ({"metadata": {"id": "a", "run": "r"}, "content": {"a": nested(200)}}, "a"),
        ({"metadata": []}, None),
    ],
)
def test_a_malformed_message_says_whose_it_is_where_it_can(body: dict[str, Any], task_id: str | None) -> None:
    with pytest.raises(MalformedMessage) as raised:
        messages.read_message(json.dumps(body))
    assert raised.value.task_id == task_id


def test_an_envelope_has_attributes() -> None:
    envelope = {
        "Type": "Notification",
        "Message": "{}",
        "MessageAttributes": {"runtime": {"Type": "String", "Value": "r"}, "odd": 1},
    }
    assert messages.unwrap(json.dumps(envelope)) == ({}, {"runtime": "r"})


@pytest.mark.parametrize(
    ("body", "publication"),
    [('{"Type": "Notification", "MessageId": "a-1"}', "a-1"), ('{"MessageId": "a-1"}', None), ("no", None),
     ('{"Type": "Notification", "MessageId": "a/b"}', None), ('{"Type": "Notification"}', None)],
)  # fmt: skip
def test_an_envelope_has_the_publications_id(body: str, publication: str | None) -> None:
    assert messages.publication_id(body) == publication


def test_a_notice_is_as_printed_and_more() -> None:
    notice = json.loads(answers.notice(a_succeeded_task(), image_link=["https://x"]))
    assert notice == {
        "id": "test-t2i",
        "result": True,
        "status": "completed",
        "runtime": "sdruntime",
        "image_url": [an_artifact().url],
        "image_link": ["https://x"],
        "output_url": a_succeeded_task().output_url,
        "context": {"abc": 123},
    }


def test_a_failure_notice_has_its_error_and_no_pictures() -> None:
    notice = json.loads(answers.notice(a_failed_task()))
    assert (notice["result"], notice["status"], notice["image_url"]) == (False, "failed", [])
    assert notice["error"].keys() == {"code", "message", "permanent"}


def test_a_notice_lists_64_outputs_at_most() -> None:
    many = a_succeeded_task(artifacts=(an_artifact(),) * 100)
    notice = json.loads(answers.notice(many, image_link=["https://x"] * 100))
    assert (len(notice["image_url"]), len(notice["image_link"])) == (64, 64)


def test_a_cancelled_task_is_told_so() -> None:
    task = a_failed_task(status=TaskStatus.CANCELLED)
    assert json.loads(answers.notice(task))["status"] == "cancelled"


def test_attributes_without_a_runtime_leave_it_out() -> None:
    assert answers.refusal_attributes("a", runtime=None, event="m") == {"id": "a", "result": "false"}


def test_a_refusal_is_a_failure_notice() -> None:
    failure = Failure("invalid_request", "bad", permanent=True)
    notice = json.loads(answers.refusal_notice("a", failure, runtime=None, context={}))
    assert (notice["id"], notice["result"], notice["status"], notice["runtime"]) == ("a", False, "failed", None)


@pytest.mark.parametrize(
    ("version", "keys"),
    [
        (ApiVersion.V1ALPHA1, {"id_task", "sd_model_checkpoint", "output_location"}),
        (ApiVersion.V1ALPHA2, {"id_task", "id", "runtime", "output_location"}),
    ],
)
def test_each_version_has_its_acceptance(version: ApiVersion, keys: set[str]) -> None:
    assert answers.acceptance(a_queued_task(api_version=version), output_bucket="b").keys() == keys


@pytest.mark.parametrize(
    ("task", "queue_s", "run_s"),
    [
        (a_queued_task(), 90.0, None),
        (a_queued_task(started_at=NOON + timedelta(seconds=10)), 10.0, 80.0),
        (a_succeeded_task(), 0.0, 30.0),
        (a_failed_task(started_at=None), 30.0, None),
    ],
)
def test_the_status_says_how_long_it_took(task: Task, queue_s: float, run_s: float | None) -> None:
    view = answers.status_view(task, output_bucket="b", image_link=[], now=NOON + timedelta(seconds=90))
    assert (view["queue_s"], view["run_s"]) == (queue_s, run_s)
