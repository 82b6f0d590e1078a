"""The wire contract's error table."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from builders import a_deployment
from sdfleet.telemetry import logs
from service_harness import MODEL, PNG, STATIC, Answer, Fuse, Fused, Harness, a_request, an_event, fuse_submission


@pytest.fixture
def harness() -> Harness:
    return Harness()


def assert_problem(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body.keys() == {"type", "title", "status", "detail", "errors"}
    assert answer.body["status"] == status


def assert_nothing_was_accepted(harness: Harness) -> None:
    assert harness.tasks.tasks() == []
    assert harness.requests.published == []


@pytest.mark.parametrize("body", ["{", "", "[]", "null", '"text"', '{"a": NaN}', "\ufeff{", "{" * 5000])
def test_what_is_no_json_object_is_a_400(harness: Harness, body: str) -> None:
    answer = harness.send(an_event("POST", "/v1alpha2", body))
    assert_problem(answer, 400)
    assert_nothing_was_accepted(harness)


def test_bytes_that_are_no_utf8_are_a_400(harness: Harness) -> None:
    body = base64.b64encode(b'{"a": "\xff"}').decode()
    assert_problem(harness.send(an_event("POST", "/v1alpha2", body, isBase64Encoded=True)), 400)


def test_a_body_that_is_not_the_base64_it_claims_to_be_is_a_400(harness: Harness) -> None:
    assert_problem(harness.send(an_event("POST", "/v1alpha2", "{}", isBase64Encoded=True)), 400)


def test_nesting_without_end_is_a_400(harness: Harness) -> None:
    content: dict[str, Any] = {}
    for _ in range(100):
        content = {"a": content}
    answer = harness.post(a_request(content))
    assert_problem(answer, 400)
    assert "nested" in answer.body["errors"][0]["message"]


def test_an_empty_object_is_told_everything_that_is_missing(harness: Harness) -> None:
    answer = harness.post({})
    assert_problem(answer, 400)
    assert answer.bad_paths == [
        "task",
        "task.metadata",
        "task.content",
        "task.metadata.tasktype",
        "task.metadata.runtime",
    ]


def test_every_independent_error_is_named_at_once(harness: Harness) -> None:
    body = a_request(
        {"override_settings": 3}, id="a b", runtime="nowhere", tasktype="text-to-imag", prefix="../x",
        callback_url="http://example.org", priority=99, output_format="bmp", colour="red",
    )  # fmt: skip

    answer = harness.post(body)

    assert_problem(answer, 400)
    assert set(answer.bad_paths) == {
        "task.metadata.id",
        "task.metadata.runtime",
        "task.metadata.tasktype",
        "task.metadata.prefix",
        "task.metadata.callback_url",
        "task.metadata.priority",
        "task.metadata.output_format",
        "task.metadata.colour",
        "task.content.override_settings",
    }
    assert_nothing_was_accepted(harness)


def test_field_errors_and_deployment_errors_come_together(harness: Harness) -> None:
    content = {"init_images": ["not a picture"], "override_settings": {"sd_model_checkpoint": "other.safetensors"}}
    answer = harness.post(a_request(content, tasktype="image-to-image", prefix="/abs"))
    assert answer.bad_paths == [
        "task.metadata.prefix",
        "task.content.override_settings.sd_model_checkpoint",
        "task.content.init_images[0]",
    ]


def test_an_unknown_runtime_is_told_those_that_exist(harness: Harness) -> None:
    answer = harness.post(a_request(runtime="sdruntim"))
    assert_problem(answer, 400)
    assert answer.bad_paths == ["task.metadata.runtime"]
    assert "sdruntime, sddynamic, comfy, custom, pattern" in answer.body["errors"][0]["message"]


def test_a_task_type_that_the_runtime_does_not_serve_is_told_those_it_does(harness: Harness) -> None:
    answer = harness.post(a_request({"1": {"class_type": "A", "inputs": {}}}, tasktype="pipeline"))
    assert_problem(answer, 400)
    assert answer.bad_paths == ["task.metadata.tasktype"]
    assert "text-to-image, image-to-image, extra-single-image" in answer.body["errors"][0]["message"]


@pytest.mark.parametrize("task_id", ["", "a b", "a/b", "x" * 129, "ü", 7, None, "a\n"])
def test_a_bad_id_is_named(harness: Harness, task_id: Any) -> None:
    body = a_request()
    body["task"]["metadata"]["id"] = task_id
    answer = harness.post(body)
    if task_id is None:
        assert answer.status == 200  # as if it were missing
    else:
        assert answer.bad_paths == ["task.metadata.id"]


@pytest.mark.parametrize("prefix", ["../x", "/x", "a/../b", "a//b", "a\x00b", "", ".", "a\\b", 7, "ü" * 300])
def test_a_bad_prefix_is_named(harness: Harness, prefix: Any) -> None:
    assert harness.post(a_request(prefix=prefix)).bad_paths == ["task.metadata.prefix"]


def test_a_context_above_16_kib_is_named(harness: Harness) -> None:
    assert harness.post(a_request(context="x" * 17_000)).bad_paths == ["task.metadata.context"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook", "ftp://example.org/hook", "example.org/hook", "https://", "https://example.org:99999/",
        "https://user:secret@example.org/", "https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/",
        "https://localhost/", "https://intranet/", "https://exam ple.org/", "https://example.org/\r\nx: y",
        "https://ex\u00e4mple.org/", "https://example.org\\@evil.example/", "https://example.org/" + "x" * 2048, 7, "",
    ],
)  # fmt: skip
def test_a_callback_goes_to_public_https_addresses_only(harness: Harness, url: Any) -> None:
    answer = harness.post(a_request(callback_url=url))
    assert_problem(answer, 400)
    assert answer.bad_paths == ["task.metadata.callback_url"]


@pytest.mark.parametrize(
    ("tasktype", "content", "path"),
    [
        ("image-to-image", {}, "task.content.init_images"),
        ("image-to-image", {"init_images": "x"}, "task.content.init_images"),
        ("image-to-image", {"init_images": [PNG, "no picture"]}, "task.content.init_images[1]"),
        ("image-to-image", {"init_images": [PNG], "mask": "?"}, "task.content.mask"),
        ("extra-single-image", {"image": ""}, "task.content.image"),
        ("extra-single-image", {"image": base64.b64encode(b"plain text").decode()}, "task.content.image"),
        ("extra-single-image", {"image": base64.b64encode(b"ID3 is music").decode()}, "task.content.image"),
        ("extra-batch-images", {"imageList": [{"name": "a"}]}, "task.content.imageList[0].data"),
    ],
)
def test_an_image_field_that_is_no_image_is_named(
    harness: Harness, tasktype: str, content: dict[str, Any], path: str
) -> None:
    answer = harness.post(a_request(content, tasktype=tasktype))
    assert_problem(answer, 400)
    assert answer.bad_paths == [path]


def test_v1alpha1_names_a_bad_image_where_the_caller_wrote_it(harness: Harness) -> None:
    scripts = {"task": "image-to-image", "sd_model_checkpoint": MODEL, "image_link": "nowhere"}
    answer = harness.post({"alwayson_scripts": scripts}, "/v1alpha1")
    assert answer.bad_paths == ["alwayson_scripts.image_link"]


def test_v1alpha1_without_its_fields_is_told_all_of_them(harness: Harness) -> None:
    answer = harness.post({"prompt": "x"}, "/v1alpha1")
    assert answer.bad_paths == [
        "alwayson_scripts",
        "alwayson_scripts.task",
        "alwayson_scripts.sd_model_checkpoint",
    ]


def test_v1alpha1_with_a_model_that_no_runtime_has_is_told_those_that_exist() -> None:
    static_only = Harness(deployment=a_deployment(runtimes=(STATIC,)))
    body = {"alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": "other.ckpt"}}

    answer = static_only.post(body, "/v1alpha1")

    assert_problem(answer, 400)
    assert MODEL in answer.body["errors"][0]["message"]


def test_a_model_that_is_not_in_the_bucket_is_a_400(harness: Harness) -> None:
    content = {"alwayson_scripts": {"sd_model_checkpoint": "gone.safetensors"}}
    answer = harness.post(a_request(content, runtime="sddynamic"))
    assert_problem(answer, 400)
    assert answer.bad_paths == ["task.content.alwayson_scripts.sd_model_checkpoint"]


def test_a_wedging_workflow_is_refused(harness: Harness) -> None:
    content = {"1": {"class_type": "EmptyImage"}}
    answer = harness.post(a_request(content, runtime="comfy", tasktype="pipeline"))
    assert_problem(answer, 400)
    assert answer.bad_paths == ["task.content.1.inputs"]


def test_what_is_no_workflow_is_refused_by_comfyui_but_not_by_the_test_pattern(harness: Harness) -> None:
    assert harness.post(a_request({"prompt": "x"}, runtime="comfy", tasktype="pipeline")).status == 400
    assert harness.post(a_request({"prompt": "x"}, runtime="pattern", tasktype="pipeline")).status == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json", ""],
)
def test_a_body_that_is_not_sent_as_json_is_a_415(harness: Harness, content_type: str | None) -> None:
    event = an_event("POST", "/v1alpha2", a_request(), headers={"Content-Type": content_type})
    assert_problem(harness.send(event), 415)
    assert_nothing_was_accepted(harness)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/vnd.x+json",
    ],
)
def test_json_has_many_names(harness: Harness, content_type: str) -> None:
    event = an_event("POST", "/v1alpha2", a_request(), headers={"CONTENT-TYPE": content_type})
    assert harness.send(event).status == 200


def test_five_megabytes_are_a_413(harness: Harness) -> None:
    assert_problem(harness.post(a_request({"prompt": "x" * 5_000_000})), 413)
    assert_nothing_was_accepted(harness)


def test_the_limit_counts_bytes_after_base64(harness: Harness) -> None:
    body = json.dumps(a_request({"prompt": "x" * 3_500_000})).encode()
    event = an_event("POST", "/v1alpha2", base64.b64encode(body).decode(), isBase64Encoded=True)
    event["headers"] = {"content-type": "application/json"}
    assert harness.send(event).status == 200

    event = an_event("POST", "/v1alpha2", json.dumps(a_request({"prompt": "ü" * 2_200_000}), ensure_ascii=False))
    assert harness.send(event).status == 413


@pytest.mark.parametrize("path", ["/", "/v2", "/v1alpha2/tasks", "/v1alpha2/tasks/a/b", "/v1alpha2//", "/V1ALPHA2", ""])
def test_an_unknown_path_is_a_404(harness: Harness, path: str) -> None:
    assert_problem(harness.call("GET", path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1alpha2", "OPTIONS, POST"),
        ("PUT", "/v1alpha1/", "OPTIONS, POST"),
        ("POST", "/v1alpha2/tasks/a", "DELETE, GET, HEAD, OPTIONS"),
        ("DELETE", "/task", "GET, HEAD, OPTIONS, POST"),
        ("HEAD", "/v1alpha2/uploads", "OPTIONS, POST"),
        ("PATCH", "/health", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_a_405_with_allow(harness: Harness, method: str, path: str, allow: str) -> None:
    answer = harness.call(method, path)
    assert answer.status == 405
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("task_id", ["none", "none/", "a%20b", "%2e%2e", "x" * 200])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_task_is_a_404(harness: Harness, method: str, task_id: str) -> None:
    assert_problem(harness.call(method, f"/v1alpha2/tasks/{task_id}"), 404)


def test_an_id_conflict_is_a_409(harness: Harness) -> None:
    harness.submit()
    assert_problem(harness.post(a_request({"prompt": "other"})), 409)


def test_an_outage_is_a_503_that_says_when_to_come_back(harness: Harness) -> None:
    fuse_submission(harness, Fuse(at=0))
    answer = harness.post(a_request())
    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_bug_is_a_500_without_detail(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    harness.rewire(tasks=Fused(harness.tasks, Fuse(at=0, error=RuntimeError("secret prompt")), "load"))
    answer = harness.post(a_request())
    assert_problem(answer, 500)
    assert "secret" not in json.dumps(answer.body)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["request.failed"]


def test_no_log_line_has_a_prompt_a_link_or_a_key(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    content = {"prompt": "a very private lighthouse"}
    with caplog.at_level("DEBUG"):
        harness.post(a_request(content), **{"x-api-key": "private-key", "idempotency-key": "private-token"})
        harness.post(a_request({**content, "override_settings": 1}))
        harness.rewire(requests=Fused(harness.requests, Fuse(at=0, error=ValueError("private")), "publish"))
        harness.post(a_request(content, id="other"))
        harness.call("GET", "/v1alpha2/tasks/test-t2i")
    lines = [logs.JsonFormatter().format(record) for record in caplog.records]
    assert len(lines) > 4
    assert not [line for line in lines if "private" in line]


def test_a_flood_of_errors_is_cut() -> None:
    metadata: dict[str, Any] = {f"unknown-{number}": number for number in range(20_000)}
    answer = Harness().post(a_request(**metadata))
    assert answer.status == 400
    assert len(answer.body["errors"]) == 100


@pytest.mark.parametrize("model", ["x" * 400_000, "\ud800", "a\nb"])
def test_a_model_that_no_record_can_hold_is_refused_though_the_runtime_takes_any(model: str) -> None:
    content = {"prompt": "A dog", "override_settings": {"sd_model_checkpoint": model}}
    answer = Harness().post(a_request(content, runtime="custom"))
    assert answer.bad_paths == ["task.content.override_settings.sd_model_checkpoint"]


def test_more_pictures_than_any_batch_has_are_refused() -> None:
    answer = Harness().post(a_request({"init_images": ["x"] * 100_000}, tasktype="image-to-image"))
    assert answer.bad_paths == ["task.content.init_images"]
    assert "256" in answer.body["errors"][0]["message"]


@pytest.mark.parametrize(
    "request_body",
    [
        a_request(runtime="sdruntim" * 100_000),
        a_request(tasktype="text-to-imag" * 100_000),
        a_request(None, **{"k" * 1_000_000: 1}),
        a_request(
            {"1": {"class_type": "x", "inputs": {"n" * 1_000_000: ["none", 0]}}}, runtime="comfy", tasktype="pipeline"
        ),
    ],
    ids=["runtime", "tasktype", "key", "input"],
)
def test_a_name_of_megabytes_is_not_repeated(request_body: dict[str, Any]) -> None:
    answer = Harness().post(request_body)
    assert answer.status == 400
    assert len(json.dumps(answer.body)) < 2_000
