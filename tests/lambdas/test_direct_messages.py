"""The submission handler: what was published without `accepted`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sdfleet.domain import names, transitions
from sdfleet_lambdas import submission
from service_harness import (
    EVENTS,
    MODEL,
    MODEL_BUCKET,
    Fuse,
    Fused,
    Harness,
    failed_ids,
    fuse_submission,
    sqs_event,
)  # fmt: skip

INBOX = "s3://sdfleet-test-inbox"


@pytest.fixture
def harness() -> Harness:
    return Harness()


def a_message(content: Any = None, **metadata: Any) -> dict[str, Any]:
    named = {"id": "test-t2i", "runtime": "sdruntime", "tasktype": "text-to-image", **metadata}
    return {
        "metadata": {key: value for key, value in named.items() if value is not None},
        "content": {"prompt": "A dog"} if content is None else content,
    }


def send(harness: Harness, *bodies: Any, **attributes: str) -> list[str]:
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return failed_ids(submission.handle(sqs_event(*texts, **attributes), harness.services))


@pytest.mark.parametrize("recorded", ["sqs_raw_message.json", "sqs_sns_envelope.json"])
def test_a_message_is_accepted_raw_and_in_an_envelope(harness: Harness, recorded: str) -> None:
    event = json.loads((EVENTS / recorded).read_text())
    assert submission.handle(event, harness.services) == {"batchItemFailures": []}

    assert harness.task().runtime == "sdruntime"
    (sent,) = harness.requests.published
    assert sent.attributes == {"runtime": "sdruntime", "accepted": "1"}
    assert harness.kept() == []


def test_the_body_may_have_the_outer_task_of_the_api(harness: Harness) -> None:
    send(harness, {"task": a_message()})
    assert harness.task().status == "queued"


def test_the_runtime_of_the_body_counts_before_the_attribute(harness: Harness) -> None:
    send(harness, a_message(), runtime="pattern")
    assert harness.task().runtime == "sdruntime"


def test_the_attribute_stands_in_for_the_runtime(harness: Harness) -> None:
    send(harness, a_message(runtime=None), runtime="pattern")
    assert harness.task().runtime == "pattern"


def test_a_v1alpha1_message_is_routed_by_its_model(harness: Harness) -> None:
    send(harness, {"alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": MODEL, "id_task": "a"}})
    assert harness.task("a").runtime == "sdruntime"


def test_a_v1alpha1_message_may_name_its_model_in_the_attribute(harness: Harness) -> None:
    body = {"alwayson_scripts": {"task": "text-to-image", "id_task": "a"}}
    send(harness, body, sd_model_checkpoint=MODEL)
    assert harness.task("a").model == MODEL


def test_a_message_without_a_runtime_is_routed_by_the_model_of_its_attribute(harness: Harness) -> None:
    harness.artifacts.put(f"s3://{MODEL_BUCKET}/Stable-diffusion/new.safetensors", b"w", content_type="x/y")
    send(harness, a_message(runtime=None), sd_model_checkpoint="new.safetensors")

    task = harness.task()
    assert (task.runtime, task.model) == ("sddynamic", "new.safetensors")


def test_a_message_that_names_neither_runtime_nor_model_is_refused(harness: Harness) -> None:
    send(harness, a_message(runtime=None))
    (notice,) = harness.notices()
    assert "metadata.runtime" in notice["error"]["message"]


def test_an_id_is_derived_from_the_message(harness: Harness) -> None:
    send(harness, a_message(id=None))
    assert harness.task("message-m-1").status == "queued"


def test_a_message_delivered_twice_is_one_task_even_after_its_end(harness: Harness) -> None:
    send(harness, a_message())
    harness.change(lambda task: transitions.cancelled(task, run=task.run, now=harness.clock.now()))
    send(harness, a_message())

    assert len(harness.published_runs()) == 1
    assert harness.task().is_terminal


def test_a_publication_that_sns_delivers_twice_is_one_task(harness: Harness) -> None:
    envelope = {"Type": "Notification", "MessageId": "95df01b4", "Message": json.dumps(a_message(id=None))}
    send(harness, envelope, envelope)
    assert [task.id for task in harness.tasks.tasks()] == ["message-95df01b4"]
    assert len(harness.published_runs()) == 1


def test_a_bad_message_is_answered_and_kept(harness: Harness) -> None:
    message = a_message(id="mine", runtime="nowhere", prefix="../x", context={"abc": 1})
    assert send(harness, message) == []

    (notice,) = harness.notices()
    assert (notice["id"], notice["result"], notice["status"]) == ("mine", False, "failed")
    assert notice["error"]["code"] == "invalid_request"
    assert notice["error"]["permanent"] is True
    assert "metadata.runtime" in notice["error"]["message"]
    assert "metadata.prefix" in notice["error"]["message"]
    assert notice["context"] == {"abc": 1}
    assert harness.results.published[0].attributes["result"] == "false"
    (letter,) = harness.kept()
    assert json.loads(letter["body"]) == message
    assert "metadata.runtime" in letter["reason"]
    assert harness.tasks.tasks() == []


def test_a_kept_message_lies_under_its_queue_and_id(harness: Harness) -> None:
    send(harness, "not json")
    key = names.dead_letter_key("sdfleet-submissions", "m-1")
    assert harness.artifacts.urls() == [f"{INBOX}/{key}"]


@pytest.mark.parametrize("body", ["", "not json", "[]", '{"metadata": {"id": "a b"}}', '{"a": NaN}', "[" * 99999])
def test_without_a_readable_id_a_message_is_only_kept(harness: Harness, body: str) -> None:
    assert send(harness, body) == []
    assert harness.notices() == []
    assert len(harness.kept()) == 1


def test_bottomless_nesting_is_refused(harness: Harness) -> None:
    content: Any = "x"
    for _ in range(200):
        content = [content]
    send(harness, a_message({"a": content}))
    assert "nested" in harness.notices()[0]["error"]["message"]


def test_an_id_in_use_with_other_content_is_answered(harness: Harness) -> None:
    harness.submit()
    send(harness, a_message({"prompt": "A cat"}))
    assert harness.notices()[0]["error"]["code"] == "task_conflict"


def test_kept_letters_are_counted(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    send(harness, "not json")
    metric = json.loads(capsys.readouterr().out)
    assert (metric["DeadLetters"], metric["Deployment"]) == (1, harness.deployment.deployment_id)


def test_a_bad_message_does_not_stop_the_others(harness: Harness) -> None:
    assert send(harness, "not json", a_message()) == []
    assert harness.task().status == "queued"


def test_an_outage_leaves_only_its_message_in_the_queue(harness: Harness) -> None:
    fuse_submission(harness, Fuse(at=2))
    assert send(harness, a_message(id="a"), a_message(id="b")) == ["m-1"]
    assert harness.tasks.load("a") is None
    assert harness.task("b").dispatched_at


def test_a_bug_leaves_its_message_in_the_queue(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    harness.rewire(tasks=Fused(harness.tasks, Fuse(at=0, error=KeyError("private")), "create"))
    assert send(harness, a_message()) == ["m-1"]
    assert "message.failed" in [record.message for record in caplog.records]


def test_a_refusal_that_could_not_be_sent_is_tried_again(harness: Harness) -> None:
    results = harness.services.results
    harness.rewire(results=Fused(results, Fuse(at=0), "publish"))
    assert send(harness, a_message(runtime="nowhere")) == ["m-1"]
    assert send(harness, a_message(runtime="nowhere")) == []
    assert (len(harness.notices()), len(harness.kept())) == (1, 1)


def test_a_large_message_names_its_content_in_the_inbox_bucket(harness: Harness) -> None:
    url = f"{INBOX}/uploads/a.json"
    harness.artifacts.put(url, b'{"prompt": "A dog"}', content_type="application/json")
    metadata = a_message()["metadata"]

    send(harness, {"metadata": metadata, "content_location": url})

    stored = harness.services.inbox.get(harness.task(), max_bytes=1000)
    assert json.loads(stored) == {"prompt": "A dog"}


@pytest.mark.parametrize(
    "location",
    [
        "s3://elsewhere/a.json",
        "https://example.org/a.json",
        f"{INBOX}/uploads/gone.json",
        f"{INBOX}/uploads/b.txt",
        7,
        f"{INBOX}/dead-letters/q/m.json",
    ],
)
def test_a_content_location_is_an_object_of_the_inbox_bucket(harness: Harness, location: Any) -> None:
    harness.artifacts.put("s3://elsewhere/a.json", b"{}", content_type="application/json")
    harness.artifacts.put(f"{INBOX}/uploads/b.txt", b"no json", content_type="text/plain")
    harness.artifacts.put(f"{INBOX}/dead-letters/q/m.json", b'{"body": "theirs"}', content_type="application/json")
    metadata = a_message(prefix="../x", tasktype="image-to-image")["metadata"]

    send(harness, {"metadata": metadata, "content_location": location})

    message = harness.notices()[0]["error"]["message"]
    assert message.count("content") == 2 if location != f"{INBOX}/uploads/b.txt" else "JSON" in message
    assert "metadata.prefix" in message


def test_an_envelope_with_an_id_that_sns_does_not_make_cannot_name_a_task(harness: Harness) -> None:
    envelope = {"Type": "Notification", "MessageId": "x" * 128, "Message": json.dumps(a_message(id=None))}
    send(harness, envelope)
    assert [task.id for task in harness.tasks.tasks()] == ["message-m-1"]


def test_a_log_has_nothing_of_a_refused_message(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    send(harness, a_message({"3": {"class_type": "x", "inputs": {"text": ["a red fox", 0]}}}, tasktype="pipeline"))
    assert "a red fox" in harness.notices()[0]["error"]["message"]
    assert "a red fox" not in "".join(str(record.__dict__) for record in caplog.records)


def test_a_content_that_grows_past_the_limit_when_it_is_written_is_refused(harness: Harness) -> None:
    url = f"{INBOX}/uploads/a.json"
    body = json.dumps({"prompt": "\N{SNOWMAN}" * 3_000_000}, ensure_ascii=False).encode()
    harness.artifacts.put(url, body, content_type="application/json")
    send(harness, {"metadata": a_message()["metadata"], "content_location": url})
    assert "16 MiB" in harness.notices()[0]["error"]["message"]
    assert harness.tasks.tasks() == []
